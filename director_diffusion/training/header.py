"""Header: what an adapter's file says of itself, wherever it goes.

Belongs here: plain strings by name, as safetensors keeps them, and reading them back.  Imports no torch.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from director_diffusion.captions.prompt import join_prompt
from director_diffusion.errors import EvaluationError, ModelError
from director_diffusion.hashing import hash_data
from director_diffusion.specs import Director
from director_diffusion.training.job import TrainingJob

if TYPE_CHECKING:
    from director_diffusion.training.choice import Choice

HELD_OUT_LOSS, FOLDS = "held-out loss", "folds"  # who chose a step where no person did
DATA = ("latents", "sizes", "prompts")  # parts of a training's identity that are its data, splits among them


def header_of(job: TrainingJob, director: Director) -> dict[str, str]:
    """Trigger and how prompts are made with it, data, recipe, seed and base.

    The adapter stage's key holds all of it, so that equal keys make equal files.  Nothing of previews or of a
    director's other rules is among it: they would make another file of the same adapter.
    """
    return {
        "director": director.slug,
        "trigger": director.trigger,
        "prompt_template": join_prompt(director.trigger, "{prompt}"),
        **_of_training(job),
    }


def joint_header_of(job: TrainingJob, directors: Sequence[Director]) -> dict[str, str]:
    """The same of an adapter of several directors: all triggers, by slug."""
    triggers = {director.slug: director.trigger for director in directors}
    return {
        "triggers": json.dumps(triggers, sort_keys=True, ensure_ascii=False),
        "prompt_template": join_prompt("{trigger}", "{prompt}"),
        **_of_training(job),
    }


def _of_training(job: TrainingJob) -> dict[str, str]:
    return {
        "base_model": job.base.model_id,
        "base_content": job.base_fingerprint,
        "recipe": job.recipe.slug,
        "recipe_spec": json.dumps(job.recipe.model_dump(mode="json"), sort_keys=True),
        "seed": str(job.recipe.seed),
        "training": job.identity.short,
        "data": hash_data({name: job.identity.parts[name] for name in DATA}),
    }


def header_of_choice(choice: "Choice") -> dict[str, str]:
    """Which step's weights these are, at which strength, and who chose them why."""
    return {
        "step": str(choice.step),
        "strength": f"{choice.strength:g}",
        "chosen_by": choice.who,
        "chosen_why": choice.why,
    }


def read_header(path: Path) -> dict[str, str]:
    """What a file says of itself, by name in order.  Raises ModelError for one that is no safetensors file."""
    try:
        with safe_open(path, framework="numpy") as file:
            return dict(sorted((file.metadata() or {}).items()))  # safetensors gives it in random order
    except (OSError, SafetensorError) as error:
        raise ModelError(str(path), f"cannot be read as an adapter: {error}", "Train the adapter again.") from error


def check_trigger(adapter: Path, director: Director) -> None:
    """Raise EvaluationError where the file was trained with another trigger, or with others' alone.

    One that names none is not of ours.
    """
    header = read_header(adapter)
    if "triggers" in header:
        triggers = json.loads(header["triggers"])
        if director.slug not in triggers:
            raise EvaluationError(
                str(adapter), f"knows {', '.join(triggers)}, and not {director.slug}", "Train the adapter again."
            )
        trained = triggers[director.slug]
    else:
        trained = header.get("trigger", director.trigger)
    if trained != director.trigger:
        raise EvaluationError(
            str(adapter),
            f"was trained with the trigger {trained!r}, and {director.name}'s is {director.trigger!r}",
            "Train the adapter again, or give the director's file that trigger.",
        )
