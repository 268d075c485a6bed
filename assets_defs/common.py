"""What the stages share: pools, groups, and the director's spec as it comes down the lineage."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from director_diffusion.errors import StoreError
from director_diffusion.evaluation.encoders.versions import VERSIONS
from director_diffusion.models.trained import BASE_MODEL
from director_diffusion.sampling.rows import DRAWING_VERSION
from director_diffusion.specs import (
    Base,
    Director,
    EvaluationPlan,
    Project,
    Recipe,
    Source,
    Tier,
    TrainedSource,
)
from director_diffusion.specs.bases import ModelSource
from director_diffusion.storage import Artifact
from resources.stage_run import StageRun

if TYPE_CHECKING:
    from director_diffusion.evaluation.encoders.opened import Encoders

DATASET = "dataset"  # the group of what belongs to a director whatever the base

DIRECTOR_FILE = "director.json"


def director_of(artifact: Artifact) -> Director:
    """The spec that the `director` asset carries."""
    return Director.model_validate(artifact.json(DIRECTOR_FILE))


def drawing_spec(base: Base) -> dict[str, Any]:
    """The part of a base's spec that decides pixels and weights; its name and licence do not."""
    return base.model_dump(
        mode="json", include={"family", "source", "guidance", "resolution", "max_prompt_tokens", "dtype"}
    )


def how_drawn(base: Base, plan: EvaluationPlan) -> dict[str, Any]:
    """All but adapter, prompts and noise that the pixels of a plan's pictures depend on; `base` is what draws them."""
    return {"drawing": DRAWING_VERSION, "base": drawing_spec(base), "sampling": plan.sampling}


def judging_spec(project: Project, plan: EvaluationPlan, tier: Tier = "release") -> dict[str, Any]:
    """What of a plan, of the code and of the captioner's settings scores depend on."""
    asked = project.captioner.model_dump(mode="json", include={"dtype", "max_pixels"}) if plan.questions else None
    return {"versions": VERSIONS, "plan": plan.judging(tier), "asked": asked}


def fingerprints_of(sources: Mapping[str, ModelSource]) -> Callable[[Any], dict[str, str]]:
    """A stage's `fingerprints` of several models by name."""
    return lambda resources: {name: resources.models.fingerprint(source) for name, source in sources.items()}


def of_base(base: Base, name: str) -> dg.AssetKey:
    return dg.AssetKey([base.slug, name])


def models_of(*sources: Source) -> list[dg.AssetKey]:
    """The assets that make these models, where this project trains them itself."""
    return [
        dg.AssetKey([slug, BASE_MODEL])
        for slug in dict.fromkeys(source.base for source in sources if isinstance(source, TrainedSource))
    ]


def of_recipe(recipe: Recipe, name: str) -> dg.AssetKey:
    return dg.AssetKey([recipe.slug, name])


def same_making(artifact: Artifact, name: dg.AssetKey, made_of: Artifact, *, again: str) -> None:
    """Raise StoreError unless `artifact` was made of `made_of`, which is what readers see of `name` now.

    Stages are materialized one by one: without this, new weights could go out under an older one's verdict.
    """
    if artifact.manifest.inputs.get("/".join(name.path)) != made_of.version:
        what = "/".join(artifact.manifest.asset)
        raise StoreError(
            what,
            f"was made of another {'/'.join(name.path)} than there is now",
            f"Materialize {again} first.",
        )


def encoders_of(run: StageRun, project: Project, plan: EvaluationPlan) -> "Encoders":
    """What a plan looks at pictures with, on this run's machine."""
    from director_diffusion.evaluation.encoders.opened import open_encoders

    machine = run.resources.machine
    return open_encoders(
        plan,
        run.resources.models,
        run.store,
        captioner=project.captioner,
        asked_at_once=machine.captioning_batch,
        fresh=run.fresh,
        device=run.place.device,
        progress=run.progress,
    )
