"""What a training tells: its curve, its result, and how its file was reloaded.  Imports no torch."""

from dataclasses import dataclass

from director_diffusion.errors import StoreError
from director_diffusion.storage import Manifest

WEIGHTS = "pytorch_lora_weights.safetensors"  # the name that diffusers looks for
RESULT_FILE, CURVE_FILE = "training.json", "curve.parquet"
TRAINING_SECONDS, RESUMED_FROM = "seconds of training", "went on from step"
SHARED_BY = "processes that shared it"  # a fact that is told where they were several
"""Facts of a training: the seconds are those of the steps after the one that it went on from."""

ADAPTERS = ("adapter", "first_fold_adapter", "second_fold_adapter", "joint_adapter")
"""Assets of a recipe that are trained, by their last names: what may go out, what two folds judge the recipe by, and
the one of all directors."""


@dataclass(frozen=True)
class CurvePoint:
    """One optimizer step; step 0 is the base itself, which has a held-out loss and nothing else."""

    step: int
    lr: float | None
    loss: float | None  # mean over the step's samples, plus the weighted prior's where there is one
    grad_norm: float | None  # before clipping
    held_out_loss: float | None  # of the averaged weights, at checkpoints; on watched stills where none is held out


@dataclass(frozen=True)
class Reload:
    """Predictions on one fixed batch, as root mean squares over all values.

    `base` is the base's prediction; `effect` what the trained adapter, still in the training's hands, adds to it;
    `difference` what separates that from the adapter's file, loaded by diffusers into a fresh base.
    """

    base: float
    effect: float
    difference: float


@dataclass(frozen=True)
class Pick:
    """A person's choice of a training's step, over the one that held-out stills chose."""

    training: str  # the identity of the training it was made of
    step: int
    strength: float  # that the adapter is written at; 1 is as trained
    who: str
    why: str


@dataclass(frozen=True)
class TrainingResult:
    """What `train_adapter` made."""

    training: str  # its identity
    steps: int  # of the recipe
    trained_steps: int  # fewer where a training was stopped and a person chose
    chosen_step: int
    chosen_by: str  # "held-out loss", the folds with their steps, or who picked it
    strength: float
    held_out_loss: float  # at the chosen step; where no still was held out, on those that were learned and watched
    base_held_out_loss: float  # at step 0
    trainable_parameters: int
    adapted_linears: int
    train_stills: int
    held_out_stills: int
    watched_stills: int  # of those learned; 0 where some are held out
    curve: tuple[CurvePoint, ...]
    reload: Reload
    pick_unused: str  # why a person's pick does not hold; "" where it does or there is none
    resumed_from: int  # the last step that an earlier call had made; 0 for a training in one go
    seconds: float  # of this call
    training_seconds: float  # of its steps, judging and checkpoints among them
    preview_seconds: float  # of its pictures


def adapter_version(adapter: Manifest) -> str:
    """What names an adapter wherever it goes: the SHA-256 of its weights file, as it was trained."""
    found = next((file.sha256 for file in adapter.files if file.name == WEIGHTS), None)
    if found is None:
        raise StoreError(
            f"{'/'.join(adapter.asset)} of {adapter.partition}", "holds no weights", "Materialize the adapter again."
        )
    return found
