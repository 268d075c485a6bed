"""Turbo samples: pictures by few-step students, beside the adapter in all its steps.

Belongs here: which arms are drawn, others' few-step weights among them.
"""

from typing import TYPE_CHECKING

import dagster as dg

from assets_defs.common import director_of, how_drawn, models_of, of_recipe, same_making
from assets_defs.drawing import arm_adapter, draw_arms
from assets_defs.turbo_adapter import TURBO_ADAPTER
from director_diffusion.distillation.rows import weights_file
from director_diffusion.sampling.rows import STOCK_ARMS, TURBO_ARMS, Arm
from director_diffusion.specs import Base, EvaluationPlan, Recipe, StockWeights, Turbo
from director_diffusion.stills.learned import learned_of
from director_diffusion.storage import Artifact
from director_diffusion.training.rows import WEIGHTS
from resources.needs import Shares, one_gpu
from resources.stage import stage
from resources.stage_run import StageResult, StageRun

if TYPE_CHECKING:
    from director_diffusion.sampling.wearing import ArmAdapter
    from resources.models import ModelsResource

TURBO_SAMPLES = "turbo_samples"


def turbo_samples_asset(
    partitions: dg.PartitionsDefinition, base: Base, recipe: Recipe, turbo: Turbo, plan: EvaluationPlan
) -> dg.AssetsDefinition:
    drawn_with, seeds, stock = base.drawn_with, plan.seeds_of("release"), recipe.baseline

    @stage(
        partitions=partitions,
        prefix=recipe.slug,
        name=TURBO_SAMPLES,
        group=recipe.slug,
        version="1",
        spec={
            **how_drawn(drawn_with, plan),
            "prompts": plan.prompts,
            "seeds": seeds,
            "step counts": turbo.step_counts,
            **({} if stock is None else {"stock": stock}),
        },
        fingerprints=lambda resources: {
            "base": resources.models.fingerprint(drawn_with.source),
            **({} if stock is None else {"stock": resources.models.fingerprint(stock.only_weights)}),
        },
        reads={"adapter": of_recipe(recipe, "adapter"), "turbo_adapter": of_recipe(recipe, TURBO_ADAPTER)},
        after=models_of(drawn_with.source),
        needs=one_gpu(Shares("drawing")),
        kinds={"pytorch", "diffusers"},
        fresh=True,
    )
    def turbo_samples(run: StageRun, adapter: Artifact, turbo_adapter: Artifact, director: Artifact) -> StageResult:
        """Images of the base arms, the adapter in all its steps and each student in its few, from the same noise."""
        again = f"{recipe.slug}/{TURBO_ADAPTER}"
        same_making(turbo_adapter, of_recipe(recipe, "adapter"), adapter, again=again)
        person = director_of(director)
        full = arm_adapter(adapter, WEIGHTS)
        adapters: dict[Arm, ArmAdapter] = {"adapter": full}
        for count in turbo.step_counts:
            adapters[TURBO_ARMS[count]] = arm_adapter(turbo_adapter, weights_file(count), on=full)
            if stock is not None:
                adapters[STOCK_ARMS[count]] = _stock(run.resources.models, stock, on=full)
        return draw_arms(
            run,
            drawn_with,
            plan.asked_of(person).model_copy(update={"folds": 1}),  # what folds stand for is the adapter's own matter
            person,
            adapters,
            learned=dict.fromkeys(adapters, learned_of(adapter)),
            seeds=seeds,
        )

    return turbo_samples


def _stock(models: "ModelsResource", stock: StockWeights, *, on: "ArmAdapter") -> "ArmAdapter":
    from director_diffusion.errors import ModelError
    from director_diffusion.hashing import hash_file
    from director_diffusion.sampling.wearing import ArmAdapter

    path = models.folder(stock.only_weights) / stock.weights
    if not path.is_file():
        raise ModelError(str(path), "is not there", "Mend `turbo.baseline` in the recipe.")
    return ArmAdapter(path, hash_file(path), on, stock.scheduler)
