"""Model card: a complete Hub repository, ready to be published or read.

Belongs here: that what the card tells of belongs together.  What it tells, its words, metadata and files live in
`director_diffusion.publishing`.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import dagster as dg

from assets_defs.common import director_of, models_of, of_base, of_recipe, same_making
from assets_defs.fold_adapters import fold_inputs, folds_of, same_folds
from assets_defs.turbo import same_students, turbo_inputs
from director_diffusion.specs import Base, EvaluationPlan, Project, Recipe
from director_diffusion.storage import Artifact, Store
from resources.stage import stage
from resources.stage_run import StageResult, StageRun

if TYPE_CHECKING:
    from director_diffusion.publishing.students import Students


def model_card_asset(
    partitions: dg.PartitionsDefinition, project: Project, base: Base, recipe: Recipe, plan: EvaluationPlan
) -> dg.AssetsDefinition:
    beside = {} if recipe.baseline is None else {"baseline": recipe.baseline}  # the recipe's own hash leaves it out

    @stage(
        partitions=partitions,
        prefix=recipe.slug,
        group=recipe.slug,
        version="2",
        spec={
            "namespace": project.hub_namespace,
            "base": base.model_dump(mode="json", exclude={"trained_here"}),  # the fingerprint tells what came of it
            "recipe": recipe,
            "plan": {"slug": plan.slug, **plan.judging()},
            **beside,
        },
        fingerprints=lambda resources: {
            "base": resources.models.fingerprint(base.source),
            "drawn with": resources.models.fingerprint(base.drawn_with.source),
        },
        reads={
            "latents": of_base(base, "latents"),
            "prompt_embeddings": of_base(base, "prompt_embeddings"),
            "adapter": of_recipe(recipe, "adapter"),
            "samples": of_recipe(recipe, "release_samples"),
            "evaluation": of_recipe(recipe, "release_evaluation"),
            "sign_off": of_recipe(recipe, "sign_off"),
        },
        further=fold_inputs(recipe, plan) | turbo_inputs(recipe),
        after=models_of(base.source, base.drawn_with.source),
        kinds={"markdown", "huggingface"},
    )
    def model_card(
        run: StageRun,
        adapter: Artifact,
        samples: Artifact,
        evaluation: Artifact,
        stills: Artifact,
        captions: Artifact,
        latents: Artifact,
        prompt_embeddings: Artifact,
        director: Artifact,
        sign_off: Artifact,
        **further: Artifact,
    ) -> StageResult:
        """A Hub repository folder: card, weights, pictures, scores, provenance and licence; never a still."""
        from director_diffusion.publishing.card import write_model_card
        from director_diffusion.publishing.gathering import Asked, Made, Models, gather

        _judged_as_drawn(recipe, adapter, samples, evaluation)
        same_folds(recipe, adapter, further)
        _trained_on(recipe, adapter, [(latents, stills), (prompt_embeddings, captions)])
        card = gather(
            Asked(project.hub_namespace, director_of(director), base, recipe, plan),
            Made(
                adapter=adapter,
                samples=samples,
                evaluation=evaluation,
                stills=stills,
                captions=captions,
                sign_off=sign_off,
                folds=tuple(folds_of(further).values()),
                students=_students(recipe, adapter, further, run.store),
            ),
            Models(
                device=run.resources.machine.kind,
                base=run.resources.models.fingerprint(base.source),
                drawn_with=run.resources.models.fingerprint(base.drawn_with.source),
            ),
            run.versions,
        )
        repo = write_model_card(card, run.out)
        return run.result(
            facts={"repository": card.repo_id, "files": sum(path.is_file() for path in repo.rglob("*"))},
            pictures={"comparison": card.grids[0].image},
        )

    return model_card


def _judged_as_drawn(recipe: Recipe, adapter: Artifact, samples: Artifact, evaluation: Artifact) -> None:
    """Raise StoreError unless the samples are this adapter's, and the evaluation theirs."""
    again = f"{recipe.slug}/release_samples and {recipe.slug}/release_evaluation"
    same_making(samples, of_recipe(recipe, "adapter"), adapter, again=again)
    same_making(evaluation, of_recipe(recipe, "release_samples"), samples, again=again)


def _trained_on(recipe: Recipe, adapter: Artifact, inputs: Sequence[tuple[Artifact, Artifact]]) -> None:
    """Raise StoreError unless what the card tells of stills and captions is what the adapter was trained on.

    `inputs` are what it read, each with what that was made of.
    """
    for made_of, of in inputs:
        name = dg.AssetKey(made_of.manifest.asset)
        same_making(adapter, name, made_of, again=f"{recipe.slug}/adapter")
        same_making(made_of, dg.AssetKey(of.manifest.asset), of, again=name.to_user_string())


def _students(recipe: Recipe, adapter: Artifact, further: Mapping[str, Artifact], store: Store) -> "Students | None":
    from director_diffusion.publishing.students import students_of

    made = same_students(recipe, adapter, further)
    return None if made is None else students_of(*made, store)
