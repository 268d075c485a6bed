"""Model card: a complete Hub repository, ready to be published or read.

Belongs here: gathering what the card tells.  Its words, metadata and files live in `director_diffusion.publishing`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import dagster as dg

from assets_defs.common import director_of, models_of, of_base, of_recipe, same_making
from assets_defs.fold_adapters import fold_inputs, folds_of, same_folds
from assets_defs.turbo import same_students, turbo_inputs
from director_diffusion.captions.rows import FILE as CAPTIONS_FILE
from director_diffusion.captions.rows import Caption
from director_diffusion.evaluation.types import Evaluation
from director_diffusion.publishing.sign_offs import FILE as SIGN_OFF_FILE
from director_diffusion.sampling.rows import FILE as SAMPLES_FILE
from director_diffusion.sampling.rows import Sample
from director_diffusion.specs import Base, EvaluationPlan, Project, Recipe
from director_diffusion.stills.rows import STILLS_FILE, Still
from director_diffusion.storage import Artifact, Store
from director_diffusion.training.rows import WEIGHTS
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
        from director_diffusion.publishing.inputs import (
            CardInputs,
            as_learned,
            count_data,
            fold_counts,
            grids_of,
            hashes_of,
            pictures_of,
            repo_id_of,
            training_of,
        )
        from director_diffusion.publishing.making import stages_behind
        from director_diffusion.publishing.sign_offs import decode_sign_offs, sign_off_for
        from director_diffusion.training.header import check_trigger, read_header
        from director_diffusion.training.rows import adapter_version

        _judged_as_drawn(recipe, adapter, samples, evaluation)
        same_folds(recipe, adapter, further)
        _trained_on(recipe, adapter, [(latents, stills), (prompt_embeddings, captions)])
        person = director_of(director)
        check_trigger(adapter.path(WEIGHTS), person)
        drawn = samples.table(SAMPLES_FILE, Sample)
        rows, texts = stills.table(STILLS_FILE, Still), captions.table(CAPTIONS_FILE, Caption)
        learned = as_learned(rows, adapter)
        signed_off = decode_sign_offs(sign_off.read(SIGN_OFF_FILE).decode(), SIGN_OFF_FILE)
        card = CardInputs(
            repo_id=repo_id_of(project.hub_namespace, person, recipe),
            director=person,
            base=base,
            recipe=recipe,
            plan=plan.asked_of(person),
            adapter=adapter.path(WEIGHTS),
            evaluation=Evaluation.read(evaluation.local_folder),
            sign_off=sign_off_for(signed_off, adapter_version(adapter.manifest)),
            counts=count_data(learned, texts),
            stills=hashes_of(learned, texts),
            students=_students(recipe, adapter, further, run.store),
            folds=tuple(fold_counts(as_learned(rows, fold)) for fold in folds_of(further).values()),
            training=training_of(adapter),
            grids=grids_of(drawn, run.store),
            pictures=pictures_of(drawn, run.store),
            stages=stages_behind([evaluation, samples, adapter, captions, stills]),
            device=run.resources.machine.kind,
            base_fingerprint=run.resources.models.fingerprint(base.source),
            drawn_with_fingerprint=run.resources.models.fingerprint(base.drawn_with.source),
            versions=run.versions,
            packages=json.loads(read_header(adapter.path(WEIGHTS))["packages"]),
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
