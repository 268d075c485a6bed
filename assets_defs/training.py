"""Training stages: what the adapter, the adapters of folds and the joint one have in common.

Belongs here: their key, their job, and how a training is run and told.  The process, the loop and the file format live
in `director_diffusion.training` and `director_diffusion.adapters`.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, Literal

import dagster as dg

from assets_defs.common import director_of, drawing_spec, models_of, of_base, of_recipe
from director_diffusion.latents.rows import FILE as LATENTS_FILE
from director_diffusion.latents.rows import LatentRow
from director_diffusion.prompts.rows import FILE as PROMPTS_FILE
from director_diffusion.prompts.rows import PromptRow
from director_diffusion.specs import Base, EvaluationPlan, Recipe
from director_diffusion.stills.learned import directors_learned, learned_of
from director_diffusion.storage import Artifact
from director_diffusion.training.checks import CHECKS, RELOADS
from director_diffusion.training.division import even_counts
from director_diffusion.training.identity import JOINT_VERSION, TRAINING_VERSION
from director_diffusion.training.picks import FILE as PICK_FILE
from director_diffusion.training.rows import RESUMED_FROM, SHARED_BY, TRAINING_SECONDS, WEIGHTS
from resources.interrupts import interruptible
from resources.making import Body
from resources.needs import Shares, one_gpu
from resources.secrets import hide_in_logs
from resources.stage import stage
from resources.stage_run import StageResult, StageRun

if TYPE_CHECKING:
    from director_diffusion.training.job import TrainingJob
    from director_diffusion.training.joint import Joined
    from director_diffusion.training.rows import TrainingResult

ADAPTER: Final = "adapter"
JOINT_ADAPTER: Final = "joint_adapter"
AdapterName = Literal["adapter", "first_fold_adapter", "second_fold_adapter", "joint_adapter"]
SHOWN = (ADAPTER, JOINT_ADAPTER)  # of whose training previews are drawn


def training_stage(
    partitions: dg.PartitionsDefinition | None,
    base: Base,
    recipe: Recipe,
    plan: EvaluationPlan,
    name: AdapterName,
    *,
    reads: Mapping[str, dg.AssetKey] | None = None,
    gathers: Mapping[str, dg.AssetKey] | None = None,
) -> Callable[[Body], dg.AssetsDefinition]:
    """`@stage` of a training; one that starts from another recipe's reads its adapter of the same `name`, which learned
    nothing that this one holds out.  What it `gathers` it does not read of one director."""
    optional = {"init": dg.AssetKey([recipe.init_from, name])} if recipe.init_from else {}
    if recipe.prior is not None and name != JOINT_ADAPTER:
        optional["prior"] = of_recipe(recipe, "prior")
    return stage(
        partitions=partitions,
        prefix=recipe.slug,
        name=name,
        group=recipe.slug,
        version="3",
        spec={
            "training": TRAINING_VERSION if name != JOINT_ADAPTER else [TRAINING_VERSION, JOINT_VERSION],
            "base": {"model_id": base.model_id, **drawing_spec(base)},
            "recipe": recipe,
            "previews": plan.previews if name in SHOWN else None,  # draws them of what is trained already
            "preview aspect": plan.sampling.aspect,
        },
        fingerprints=lambda resources: {"base": resources.models.fingerprint(base.source)},
        reads={
            "latents": of_base(base, "latents"),
            "prompt_embeddings": of_base(base, "prompt_embeddings"),
            "pick": of_recipe(recipe, "pick"),
            **(reads or {}),
        },
        gathers=gathers,
        further=optional,
        checks=CHECKS if name == ADAPTER else (RELOADS,),
        after=models_of(base.source),
        needs=one_gpu(Shares("training", even_counts(recipe))),
        kinds={"pytorch", "peft", "safetensors"},
    )


def training_job(
    run: StageRun,
    base: Base,
    recipe: Recipe,
    plan: EvaluationPlan,
    latents: Artifact,
    prompt_embeddings: Artifact,
    further: Mapping[str, Artifact],
) -> "TrainingJob":
    """The training on these stills by their own split; nothing of it is drawn but what a person may pick of."""
    prior = [further["prior"]] if "prior" in further else []
    return _job(
        run,
        base,
        recipe,
        plan,
        director=run.director,
        latents=tuple(row for source in (latents, *prior) for row in source.table(LATENTS_FILE, LatentRow)),
        prompts=tuple(row for source in (prompt_embeddings, *prior) for row in source.table(PROMPTS_FILE, PromptRow)),
        init=further.get("init"),
    )


def joint_job(
    run: StageRun, base: Base, recipe: Recipe, plan: EvaluationPlan, joined: "Joined", init: Artifact | None
) -> "TrainingJob":
    """The training on all directors' stills, each by its own split."""
    started = directors_learned(init) if init is not None else {}
    return _job(
        run,
        base,
        recipe,
        plan,
        director="",
        latents=joined.latents,
        prompts=joined.prompts,
        init=init,
        directors={**started, **joined.directors},
    )


def _job(
    run: StageRun,
    base: Base,
    recipe: Recipe,
    plan: EvaluationPlan,
    *,
    director: str,
    latents: tuple[LatentRow, ...],
    prompts: tuple[PromptRow, ...],
    init: Artifact | None,
    directors: Mapping[str, str] | None = None,
) -> "TrainingJob":
    from director_diffusion.training.job import TrainingJob

    models, name = run.resources.models, run.context.asset_key.path[-1]
    return TrainingJob(
        director=director,
        latents=latents,
        prompts=prompts,
        base=base,
        recipe=recipe,
        folder=models.base_folder(base),
        base_fingerprint=models.fingerprint(base.source),
        store=run.store,
        work=run.unfinished("trainings"),
        device=run.place.device,
        init=init.path(WEIGHTS) if init is not None else None,
        init_learned=learned_of(init) if init is not None else {},
        previews=plan.previews if name in SHOWN else None,
        preview_aspect=plan.sampling.aspect,
        processes=run.place.processes,
        devices=run.place.devices,
        at_start=hide_in_logs,
        pickable=name == ADAPTER,
        directors=directors or {},
    )


def train(
    run: StageRun, job: "TrainingJob", director: Artifact | Mapping[str, Artifact], pick: Artifact | None = None
) -> StageResult:
    """Run a training, of one director or of several by slug, and describe what came of it."""
    from director_diffusion.training.checks import judge, judge_reload
    from director_diffusion.training.header import header_of, joint_header_of
    from director_diffusion.training.picks import decode_pick
    from director_diffusion.training.plots import curve_plot
    from director_diffusion.training.train import train_adapter

    with interruptible() as stop:
        trained = train_adapter(
            job,
            out=run.out,
            metadata=header_of(job, director_of(director))
            if isinstance(director, Artifact)
            else joint_header_of(job, [director_of(one) for one in director.values()]),
            progress=run.progress,
            pick=decode_pick(pick.path(PICK_FILE).read_text(encoding="utf-8"), PICK_FILE) if pick is not None else None,
            stop=stop,
        )
    result, watched = trained.result, bool(job.watched)
    return run.result(
        facts=_facts(result, watched, job.processes),
        pictures={
            "training curve": curve_plot(result.curve, result.chosen_step, result.chosen_by, watched=watched),
            **trained.pictures,
        },
        checks=judge(result) if job.pickable else [judge_reload(result.reload)],
        references=trained.references,
    )


def _facts(result: "TrainingResult", watched: bool, processes: int) -> dict[str, int | float | str]:
    loss = "loss of watched stills, learned too" if watched else "held-out loss"
    facts: dict[str, int | float | str] = {
        "training": result.training,
        "steps": result.steps,
        "trained steps": result.trained_steps,
        "chosen step": result.chosen_step,
        "chosen by": result.chosen_by,
        "strength": result.strength,
        loss: result.held_out_loss,
        f"{loss} of the base" if not watched else "their loss by the base": result.base_held_out_loss,
        "trainable parameters": result.trainable_parameters,
        "adapted linears": result.adapted_linears,
    }
    if result.resumed_from:
        facts[RESUMED_FROM] = result.resumed_from
    if result.training_seconds:
        facts |= {
            TRAINING_SECONDS: round(result.training_seconds, 1),
            "seconds of previews": round(result.preview_seconds, 1),
            "previews' share of the time": round(result.preview_seconds / result.training_seconds, 4),
        }
        if processes > 1:
            facts[SHARED_BY] = processes
    return facts
