"""The catalog: every spec under a configs folder, read once and checked against each other.

Belongs here: reading YAML into specs, errors that name file, key and value, and the JSON Schemas for editors.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from director_diffusion.errors import SpecError
from director_diffusion.specs import (
    FLOWS,
    Base,
    Deployment,
    Director,
    EvaluationPlan,
    Objective,
    Project,
    Recipe,
    Source,
    TrainedSource,
)

Model = TypeVar("Model", bound=BaseModel)

KINDS: dict[str, type[BaseModel]] = {
    "directors": Director,
    "bases": Base,
    "recipes": Recipe,
    "evaluations": EvaluationPlan,
    "projects": Project,
    "deployments": Deployment,
}


@dataclass(frozen=True)
class Catalog:
    """All specs of a configs folder, by slug."""

    folder: Path
    directors: Mapping[str, Director]
    bases: Mapping[str, Base]
    recipes: Mapping[str, Recipe]
    evaluations: Mapping[str, EvaluationPlan]
    projects: Mapping[str, Project]
    deployments: Mapping[str, Deployment]

    def project(self, slug: str) -> Project:
        return _pick(self.projects, slug, self.folder / "projects")

    def deployment(self, slug: str) -> Deployment:
        return _pick(self.deployments, slug, self.folder / "deployments")

    def project_directors(self, project: Project) -> list[Director]:
        """The directors of a project, in the order of their slugs (or as its list says)."""
        if project.directors == "all":
            return list(self.directors.values())
        return [self.directors[slug] for slug in project.directors]

    def project_recipes(self, project: Project) -> list[Recipe]:
        return [self.recipes[slug] for slug in project.recipes]

    def project_bases(self, project: Project) -> list[Base]:
        """The bases that a project's recipes use, each once."""
        return [self.bases[slug] for slug in dict.fromkeys(recipe.base for recipe in self.project_recipes(project))]

    def project_bases_trained_here(self, project: Project) -> list[Base]:
        """The bases that a project trains itself: its recipes' where their file says how, and those it lists."""
        used = {base.slug: base for base in self.project_bases(project)}
        listed = {slug: self.bases[slug] for slug in project.bases}
        return [base for base in {**used, **listed}.values() if base.trained_here is not None]


def load_catalog(folder: Path) -> Catalog:
    """Read every file below `folder`.  Raises SpecError naming file, key, value and what is allowed."""
    if not folder.is_dir():
        raise SpecError(str(folder), "is not a folder of configs", "Point DIRECTOR_CONFIGS at one.")
    specs: dict[str, dict[str, Any]] = {kind: _load_kind(folder / kind, model) for kind, model in KINDS.items()}
    catalog = Catalog(folder=folder, **specs)
    _check_references(catalog)
    return catalog


def load_spec(path: Path, model: type[Model]) -> Model:
    """Read one YAML file as `model`; its slug is the file's name."""
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SpecError(str(path), f"is not YAML: {error}", "Mend the file.") from error
    except OSError as error:
        raise SpecError(str(path), f"cannot be read: {error.strerror}", "Give this user read access to it.") from error
    if not isinstance(data, dict):
        raise SpecError(str(path), "holds no mapping of keys to values", "Start it with lines such as `name: ...`.")
    if "slug" in data:
        raise SpecError(str(path), "key slug is not allowed", "The slug is the file's name: remove the key.")
    try:
        return model.model_validate({**data, "slug": path.stem})
    except ValidationError as error:
        raise SpecError(str(path), _explain(error, model, data), "Mend the keys named and load again.") from error


def json_schemas() -> dict[str, str]:
    """JSON Schema text by kind, as kept in `configs/schemas/`."""
    return {kind: json.dumps(_editor_schema(model), indent=2) + "\n" for kind, model in KINDS.items()}


def write_schemas(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for kind, text in json_schemas().items():
        (folder / f"{kind}.json").write_text(text, encoding="utf-8")


def _load_kind(folder: Path, model: type[Model]) -> dict[str, Model]:
    return {path.stem: load_spec(path, model) for path in sorted(folder.glob("*.yaml"))}


def _pick(specs: Mapping[str, Model], slug: str, folder: Path) -> Model:
    if slug not in specs:
        raise SpecError(
            str(folder / f"{slug}.yaml"), "does not exist", f"Choose one of {', '.join(specs) or 'none'}, or write it."
        )
    return specs[slug]


def _check_references(catalog: Catalog) -> None:
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
    for project in catalog.projects.values():
        for slug in project.recipes:
            _must_exist(catalog, "projects", project.slug, "recipes", slug, catalog.recipes)
            _must_make_start(catalog, project, catalog.recipes[slug])
        for slug in project.bases:
            _must_exist(catalog, "projects", project.slug, "bases", slug, trained_here)
        _must_exist(catalog, "projects", project.slug, "evaluation", project.evaluation, catalog.evaluations)
        for slug in () if project.directors == "all" else project.directors:
            _must_exist(catalog, "projects", project.slug, "directors", slug, catalog.directors)
        _must_be_trained(catalog, "projects", project.slug, "captioner", project.captioner.source, trained_here)
        _must_train(catalog, project, "captioner", project.captioner.source)
        _must_train(catalog, project, "embedder", catalog.evaluations[project.evaluation].embedder.source)
        for base in catalog.project_bases(project):
            _must_train(catalog, project, f"checkpoint that {base.slug} is sampled with", base.drawn_with.source)


def _check_recipe(catalog: Catalog, recipe: Recipe) -> None:
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


def _must_make_start(catalog: Catalog, project: Project, recipe: Recipe) -> None:
    """A recipe that starts from another needs it made too."""
    if recipe.init_from is not None and recipe.init_from not in project.recipes:
        raise SpecError(
            str(catalog.folder / "projects" / f"{project.slug}.yaml"),
            f"recipes: {recipe.slug} starts from {recipe.init_from}, which this project does not make",
            f"Add {recipe.init_from} to `recipes`.",
        )


def _must_exist(catalog: Catalog, kind: str, owner: str, key: str, slug: str, allowed: Mapping[str, BaseModel]) -> None:
    if slug not in allowed:
        raise SpecError(
            str(catalog.folder / kind / f"{owner}.yaml"),
            f"{key}: {slug!r} is not known",
            f"Allowed are {', '.join(allowed) or 'none yet'}.",
        )


def _must_be_trained(
    catalog: Catalog, kind: str, owner: str, part: str, source: Source, trained_here: Mapping[str, Base]
) -> None:
    """Where a model called `part` comes from a base trained here, it must be that part of it, and trained with it."""
    if not isinstance(source, TrainedSource):
        return
    with_part = {slug: base for slug, base in trained_here.items() if getattr(base.trained_here, part) is not None}
    _must_exist(catalog, kind, owner, f"{part}.source.base", source.base, trained_here)
    if source.part != part:
        raise SpecError(
            str(catalog.folder / kind / f"{owner}.yaml"),
            f"{part}.source.part: {source.part!r} is no {part}",
            f"Allowed is {part}.",
        )
    if source.base not in with_part:
        raise SpecError(
            str(catalog.folder / kind / f"{owner}.yaml"),
            f"{part}.source.base: no {part} is trained with {source.base!r}",
            f"Allowed are {', '.join(with_part) or 'none yet'}; `trained_here` of a base's file names its parts.",
        )


def _check_drawn_with(catalog: Catalog, base: Base, trained_here: Mapping[str, Base]) -> None:
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


def _must_train(catalog: Catalog, project: Project, part: str, source: Source) -> None:
    """What a project uses of a base trained here, it must train itself."""
    trained = [base.slug for base in catalog.project_bases_trained_here(project)]
    if isinstance(source, TrainedSource) and source.base not in trained:
        raise SpecError(
            str(catalog.folder / "projects" / f"{project.slug}.yaml"),
            f"bases: the {part} is a part of {source.base!r}, which this project does not train "
            f"(it trains {', '.join(trained) or 'none'})",
            f"Add {source.base} to `bases`.",
        )


def _explain(error: ValidationError, model: type[BaseModel], data: Mapping[str, Any]) -> str:
    lines = []
    for problem in error.errors():
        key = _key(problem["loc"], data) or "the file"
        if problem["type"] == "extra_forbidden":
            allowed = ", ".join(name for name in model.model_fields if name != "slug")
            lines.append(f"key {key} is not known (at the top level, allowed are {allowed})")
        elif problem["type"] == "missing":
            lines.append(f"key {key} is missing")
        else:
            lines.append(f"key {key} = {problem['input']!r}: {problem['msg'].removeprefix('Value error, ')}")
    return "; ".join(lines)


def _key(location: Sequence[int | str], data: Any) -> str:
    """A place in a file as its writer sees it: pydantic also names the `kind` of what it takes a mapping for."""
    parts = []
    for part in location:
        if isinstance(data, Mapping) and part not in data and data.get("kind") == part:
            continue
        parts.append(str(part))
        if isinstance(data, Mapping):
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int):
            data = data[part]
    return ".".join(parts)


def _editor_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of a file: the model's, less the slug, which is the file's name."""
    schema = model.model_json_schema()
    schema["properties"].pop("slug")
    schema["required"] = [name for name in schema.get("required", []) if name != "slug"]
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return schema
