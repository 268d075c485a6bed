"""Defects: adapters that are wrong in a known way.

Belongs here: how each comes about.  A sound adapter is the product's own training; a defect changes what it is given,
or its file, and nothing of the code that judges.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from diffusers import FluxTransformer2DModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from benchmarks.truth.setting import BASE, Setting
from director_diffusion.adapters.files import save_adapter
from director_diffusion.errors import TrainingError
from director_diffusion.latents.rows import FILE as LATENTS_FILE
from director_diffusion.latents.rows import LatentRow
from director_diffusion.progress import Silent
from director_diffusion.prompts.rows import FILE as PROMPTS_FILE
from director_diffusion.prompts.rows import PromptRow
from director_diffusion.scenes.scene import SUBJECTS
from director_diffusion.specs import AdamW, LoraAdapter, Recipe
from director_diffusion.training import train
from director_diffusion.training.checks import judge_reload
from director_diffusion.training.header import header_of
from director_diffusion.training.job import TrainingJob
from director_diffusion.training.rows import WEIGHTS

SOUND = "sound"
TIMES_TOO_LARGE = 1000.0
OVERTRAINED = {"steps": 240, "checkpoint_every": 240}
OVERTRAINED_LR = 3e-3
BY_HEART = {"steps": 1200, "checkpoint_every": 1200, "batch_size": 2}
BY_HEART_LR, BY_HEART_RANK = 2e-3, 32
FEW = 4  # stills to be learned by heart


@dataclass(frozen=True)
class Defect:
    """A fault, and how its adapter is made for a director and trial; `None` where its own training, or that one's
    blocking check, refused it."""

    name: str
    words: str
    make: Callable[[Setting, str, int], Path | None]


def sound(setting: Setting, director: str, trial: int) -> Path | None:
    """By the recipe, at the trial's seed."""
    return _trained(setting, director, trial, SOUND, lambda job: job)


def alpha_lost(setting: Setting, director: str, trial: int) -> Path | None:
    """Trained soundly; its file says half the alpha."""

    def losing(path: Path, weights: Any, spec: LoraAdapter, targets: Sequence[str], **named: Any) -> None:
        save_adapter(path, weights, spec.model_copy(update={"alpha": spec.alpha / 2}), targets, **named)

    return _trained(setting, director, trial, "alpha", lambda job: job, patch.object(train, "save_adapter", losing))


def half_strength(setting: Setting, director: str, trial: int) -> Path | None:
    return _scaled(setting, director, trial, 0.5, "half")


def no_adapter(setting: Setting, director: str, trial: int) -> Path | None:
    return _scaled(setting, director, trial, 0.0, "none")


def another_directors(setting: Setting, director: str, trial: int) -> Path | None:
    """The next director's weights under this one's name; each trial takes another director's."""
    slugs = list(setting.directors)
    other = slugs[(slugs.index(director) + 1 + trial) % len(slugs)]
    source = sound(setting, other, trial)
    assert source is not None, "a sound training was refused"
    return _rewritten(
        setting,
        director,
        trial,
        "swapped",
        source,
        lambda tensors: tensors,
        header=_header(_path(setting, director, trial, SOUND)),
    )


def wrong_timesteps(setting: Setting, director: str, trial: int) -> Path | None:
    forward = FluxTransformer2DModel.forward

    def wrong(self: FluxTransformer2DModel, *args: Any, timestep: Tensor, **named: Any) -> Any:
        return forward(self, *args, timestep=timestep * TIMES_TOO_LARGE, **named)

    return _trained(
        setting, director, trial, "timesteps", lambda job: job, patch.object(FluxTransformer2DModel, "forward", wrong)
    )


def memorised(setting: Setting, director: str, trial: int) -> Path | None:
    """Four stills and no others, learned for long: what a caption names first says which it shows."""

    def few(job: TrainingJob) -> TrainingJob:
        train = [row for row in job.latents if row.split == "train"]
        kept = train[FEW * trial : FEW * (trial + 1)]
        words = {row.still: row.prompt for row in job.prompts}
        shown = tuple(replace(kept[_first_thing(words[row.still]) % FEW], still=row.still) for row in train)
        return replace(
            job,
            latents=(*shown, *(row for row in job.latents if row.split != "train")),
            recipe=job.recipe.model_copy(
                update={
                    **BY_HEART,
                    "optimizer": AdamW(kind="adamw", lr=BY_HEART_LR),
                    "adapter": LoraAdapter(
                        kind="lora", rank=BY_HEART_RANK, alpha=BY_HEART_RANK, targets="all_block_linears"
                    ),
                }
            ),
        )

    return _trained(setting, director, trial, "by_heart", few)


def _first_thing(caption: str) -> int:
    """The place in SUBJECTS of the one that a caption names first; 0 where it names none."""
    named = [(caption.find(thing), place) for place, thing in enumerate(SUBJECTS) if thing in caption]
    return min(named, default=(0, 0))[1]


def ignores_the_prompt(setting: Setting, director: str, trial: int) -> Path | None:
    """Every still under another still's caption, learned for long."""

    def shuffled(job: TrainingJob) -> TrainingJob:
        train = [row for row in job.prompts if row.split == "train" and row.still]
        shift = len(train) // 2 + trial
        turned = {row.still: train[(place + shift) % len(train)] for place, row in enumerate(train)}
        rows = tuple(
            replace(row, item=turned[row.still].item, reference=turned[row.still].reference)
            if row.still in turned
            else row
            for row in job.prompts
        )
        return replace(job, prompts=rows, recipe=_overtrained(job.recipe))

    return _trained(setting, director, trial, "prompts", shuffled)


DEFECTS: Sequence[Defect] = (
    Defect("alpha", "half strength (alpha lost when its file was written)", alpha_lost),
    Defect("half", "half strength (in its weights)", half_strength),
    Defect("none", "no adapter at all", no_adapter),
    Defect("swapped", "another director's adapter", another_directors),
    Defect("timesteps", "trained with timesteps 1000 times too large", wrong_timesteps),
    Defect("by_heart", f"learned {FEW} stills by heart", memorised),
    Defect("prompts", "ignores the prompt", ignores_the_prompt),
)


def _overtrained(recipe: Recipe) -> Recipe:
    return recipe.model_copy(update={**OVERTRAINED, "optimizer": AdamW(kind="adamw", lr=OVERTRAINED_LR)})


def _trained(
    setting: Setting,
    director: str,
    trial: int,
    name: str,
    change: Callable[[TrainingJob], TrainingJob],
    around: Any = None,
) -> Path | None:
    """An adapter's file; None where the product's own training, or the check that blocks what follows it, refused to
    make it, with its words beside the file."""
    path = _path(setting, director, trial, name)
    refusal = path.with_suffix(".refused")
    if path.exists() or refusal.exists():
        return path if path.exists() else None
    recipe = setting.recipe.model_copy(update={"seed": trial, "slug": f"{name}_{trial}"})
    out = path.parent / f"{path.stem}-training"
    out.mkdir(parents=True, exist_ok=True)
    base = setting.base
    job = change(
        TrainingJob(
            director=director,
            latents=tuple(setting.of(director, BASE, "latents").table(LATENTS_FILE, LatentRow)),
            prompts=tuple(setting.of(director, BASE, "prompt_embeddings").table(PROMPTS_FILE, PromptRow)),
            base=base,
            recipe=recipe,
            folder=setting.models.folder(base.source),
            # A fault must not be found under a sound training's identity.
            base_fingerprint=f"{setting.models.fingerprint(base.source)}/{name}",
            store=setting.store,
            work=out / "work",
            device="cpu",
        )
    )
    try:
        with around if around is not None else nullcontext():
            header = header_of(job, setting.directors[director])
            made = train.train_adapter(job, out=out, metadata=header, progress=Silent())
    except TrainingError as error:
        refusal.write_text(str(error), encoding="utf-8")
        return None
    reloaded = judge_reload(made.result.reload)
    if not reloaded.passed:
        refusal.write_text(reloaded.description, encoding="utf-8")
        return None
    (out / WEIGHTS).rename(path)
    return path


def _scaled(setting: Setting, director: str, trial: int, factor: float, name: str) -> Path | None:
    source = sound(setting, director, trial)
    assert source is not None, "a sound training was refused"

    def scaled(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {key: tensor * factor if ".lora_B." in key else tensor for key, tensor in tensors.items()}

    return _rewritten(setting, director, trial, name, source, scaled)


def _rewritten(
    setting: Setting,
    director: str,
    trial: int,
    name: str,
    source: Path,
    change: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]],
    header: Mapping[str, str] | None = None,
) -> Path:
    path = _path(setting, director, trial, name)
    if not path.exists():
        save_file(dict(change(load_file(source))), path, dict(header if header is not None else _header(source)))
    return path


def _header(path: Path) -> dict[str, str]:
    with safe_open(path, framework="pt") as file:
        return dict(file.metadata())


def _path(setting: Setting, director: str, trial: int, name: str) -> Path:
    path = setting.folder / "adapters" / director / f"{name}-{trial}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
