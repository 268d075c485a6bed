"""Catalog checks: what specs must be to each other.

Belongs here: references between files, and what one file asks that another must give.  Bounds of single values are the
specs' own.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from director_diffusion.errors import SpecError
from director_diffusion.specs import (
    FLOWS,
    Base,
    ConsistencyTurbo,
    Director,
    EvaluationPlan,
    Objective,
    Project,
    Recipe,
    SegmentTurbo,
    Source,
    TrainedSource,
)

if TYPE_CHECKING:
    from director_diffusion.catalog import Catalog


def check_references(catalog: "Catalog") -> None:
    """Raise SpecError, naming the file, for the first that does not fit the others."""
    both = sorted(set(catalog.bases) & set(catalog.recipes))
    if both:
        raise SpecError(
            str(catalog.folder),
            f"{both[0]!r} names both a base and a recipe",
            "Rename one: asset keys start with them.",
        )
    for recipe in catalog.recipes.values():
        _must_exist(catalog, "recipes", recipe.slug, "base", recipe.base, catalog.bases)
    for recipe in catalog.recipes.values():
        _check_recipe(catalog, recipe)
    trained_here = {slug: base for slug, base in catalog.bases.items() if base.trained_here is not None}
    for base in catalog.bases.values():
        _check_drawn_with(catalog, base, trained_here)
    for plan in catalog.evaluations.values():
        _must_be_trained(catalog, "evaluations", plan.slug, "embedder", plan.embedder.source, trained_here)
        _must_be_trained(
            catalog, "evaluations", plan.slug, "encoder", plan.encoder.source, trained_here, made="style_encoder"
        )
    for project in catalog.projects.values():
        for slug in project.recipes:
            _must_exist(catalog, "projects", project.slug, "recipes", slug, catalog.recipes)
            _must_make_start(catalog, project, catalog.recipes[slug])
            _check_joint(catalog, project, catalog.recipes[slug])
        for slug in project.bases:
            _must_exist(catalog, "projects", project.slug, "bases", slug, trained_here)
        _must_exist(catalog, "projects", project.slug, "evaluation", project.evaluation, catalog.evaluations)
        for director in catalog.directors.values():
            _check_prompts(catalog, director, catalog.evaluations[project.evaluation])
        for slug in () if project.directors == "all" else project.directors:
            _must_exist(catalog, "projects", project.slug, "directors", slug, catalog.directors)
        _must_be_trained(catalog, "projects", project.slug, "captioner", project.captioner.source, trained_here)
        _must_train(catalog, project, "captioner", project.captioner.source)
        for name, source in catalog.evaluations[project.evaluation].sources(project.captioner.source).items():
            _must_train(catalog, project, name, source)
        for base in catalog.project_bases(project):
            _must_train(catalog, project, f"checkpoint that {base.slug} is sampled with", base.drawn_with.source)


def _check_prompts(catalog: "Catalog", director: Director, plan: EvaluationPlan) -> None:
    """A director's own prompts and the plan's novel ones must make a plan together."""
    try:
        plan.asked_of(director)
    except ValidationError as error:
        raise SpecError(
            str(catalog.folder / "directors" / f"{director.slug}.yaml"),
            f"prompts: with the novel ones of {plan.slug}, {error.errors()[0]['msg'].removeprefix('Value error, ')}",
            "Mend the prompts.",
        ) from error


def _check_recipe(catalog: "Catalog", recipe: Recipe) -> None:
    """What a recipe asks must be something that its base and the recipe it starts from can give."""
    file = str(catalog.folder / "recipes" / f"{recipe.slug}.yaml")
    family = catalog.bases[recipe.base].family
    if family in FLOWS and recipe.objective != Objective():
        raise SpecError(
            file,
            f"objective: {recipe.base} is a flow (family {family}), which takes no min_snr_gamma and no noise_offset",
            "Leave `objective` out; `timesteps` says which noise levels a flow visits.",
        )
    if family not in FLOWS and recipe.adapter.targets == "late_single_blocks":
        raise SpecError(
            file,
            f"adapter.targets: {recipe.base} is a UNet (family {family}), which has no single blocks",
            "Choose attention or all_block_linears.",
        )
    if family not in FLOWS and isinstance(recipe.turbo, SegmentTurbo):
        raise SpecError(
            file,
            f"turbo: {recipe.base} is no flow (family {family}), whose trajectories have no segments to learn",
            "Give `turbo` the kind consistency.",
        )
    if family in FLOWS and isinstance(recipe.turbo, ConsistencyTurbo):
        raise SpecError(
            file,
            f"turbo: {recipe.base} is a flow (family {family}), which has no timesteps to be consistent at",
            "Give `turbo` the kind segments.",
        )
    if recipe.init_from is None:
        return
    _must_exist(catalog, "recipes", recipe.slug, "init_from", recipe.init_from, catalog.recipes)
    start, seen = recipe, [recipe.slug]
    while start.init_from is not None and start.init_from in catalog.recipes:
        start = catalog.recipes[start.init_from]
        if start.slug in seen:
            raise SpecError(file, f"init_from: {' starts from '.join([*seen, start.slug])}", "Break the circle.")
        seen.append(start.slug)
    first = catalog.recipes[recipe.init_from]
    for key in ("base", "adapter"):
        if getattr(first, key) != getattr(recipe, key):
            raise SpecError(
                file, f"init_from: {first.slug} has another `{key}`", f"Give both the same `{key}`: weights must fit."
            )
    if recipe.joint is not None and first.joint is None:
        raise SpecError(
            file,
            f"joint: {first.slug}, which this recipe starts from, makes no adapter of all directors to start from",
            f"Add `joint: {{}}` to {first.slug}, or leave it out here.",
        )
    if recipe.joint is not None and first.of_all().adapter != recipe.of_all().adapter:
        raise SpecError(
            file, f"joint.adapter: {first.slug} has another", "Give both the same `joint.adapter`: weights must fit."
        )


def _must_make_start(catalog: "Catalog", project: Project, recipe: Recipe) -> None:
    """A recipe that starts from another needs it made too."""
    if recipe.init_from is not None and recipe.init_from not in project.recipes:
        raise SpecError(
            str(catalog.folder / "projects" / f"{project.slug}.yaml"),
            f"recipes: {recipe.slug} starts from {recipe.init_from}, which this project does not make",
            f"Add {recipe.init_from} to `recipes`.",
        )


def _check_joint(catalog: "Catalog", project: Project, recipe: Recipe) -> None:
    """One adapter of all is told whom to draw by triggers alone."""
    if recipe.joint is None:
        return
    file = str(catalog.folder / "projects" / f"{project.slug}.yaml")
    triggers: dict[str, str] = {}
    slugs = catalog.directors if project.directors == "all" else project.directors
    for director in (catalog.directors[slug] for slug in slugs if slug in catalog.directors):
        other = triggers.setdefault(director.trigger.casefold(), director.slug)
        if other != director.slug:
            raise SpecError(
                file,
                f"directors: {other} and {director.slug} have the same trigger, and {recipe.slug} asks for one adapter "
                "of all (joint)",
                "Give one of them another trigger.",
            )


def _must_exist(
    catalog: "Catalog", kind: str, owner: str, key: str, slug: str, allowed: Mapping[str, BaseModel]
) -> None:
    if slug not in allowed:
        raise SpecError(
            str(catalog.folder / kind / f"{owner}.yaml"),
            f"{key}: {slug!r} is not known",
            f"Allowed are {', '.join(allowed) or 'none yet'}.",
        )


def _must_be_trained(
    catalog: "Catalog",
    kind: str,
    owner: str,
    key: str,
    source: Source,
    trained_here: Mapping[str, Base],
    *,
    made: str = "",
) -> None:
    """Where the model under `key` comes from a base trained here, it must be the part `made` of it (called as `key`
    unless said), and trained with it."""
    if not isinstance(source, TrainedSource):
        return
    part = made or key
    with_part = {slug: base for slug, base in trained_here.items() if getattr(base.trained_here, part) is not None}
    _must_exist(catalog, kind, owner, f"{key}.source.base", source.base, trained_here)
    if source.part != part:
        raise SpecError(
            str(catalog.folder / kind / f"{owner}.yaml"),
            f"{key}.source.part: {source.part!r} is no {part}",
            f"Allowed is {part}.",
        )
    if source.base not in with_part:
        raise SpecError(
            str(catalog.folder / kind / f"{owner}.yaml"),
            f"{key}.source.base: no {part} is trained with {source.base!r}",
            f"Allowed are {', '.join(with_part) or 'none yet'}; `trained_here` of a base's file names its parts.",
        )


def _check_drawn_with(catalog: "Catalog", base: Base, trained_here: Mapping[str, Base]) -> None:
    """Where pictures are drawn with what is trained here, that must be the base of such a training."""
    source = base.drawn_with.source
    if base.sampled_with is None or not isinstance(source, TrainedSource):
        return
    _must_exist(catalog, "bases", base.slug, "sampled_with.source.base", source.base, trained_here)
    if source.part != "base":
        raise SpecError(
            str(catalog.folder / "bases" / f"{base.slug}.yaml"),
            f"sampled_with.source.part: {source.part!r} is no base",
            "Allowed is base.",
        )


def _must_train(catalog: "Catalog", project: Project, part: str, source: Source) -> None:
    """What a project uses of a base trained here, it must train itself."""
    trained = [base.slug for base in catalog.project_bases_trained_here(project)]
    if isinstance(source, TrainedSource) and source.base not in trained:
        raise SpecError(
            str(catalog.folder / "projects" / f"{project.slug}.yaml"),
            f"bases: the {part} is a part of {source.base!r}, which this project does not train "
            f"(it trains {', '.join(trained) or 'none'})",
            f"Add {source.base} to `bases`.",
        )
