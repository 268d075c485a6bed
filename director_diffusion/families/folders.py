"""Folders: what a base in diffusers' layout must hold.

Belongs here: looking for files, reading JSON, and counting tokens, for families to say which.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from director_diffusion.errors import ModelError
from director_diffusion.models.pickles import check_no_pickle

WEIGHTS = "diffusion_pytorch_model.safetensors"  # of a denoiser or a VAE
TEXT_WEIGHTS = "model.safetensors"

CLIP_VOCABULARY = (("tokenizer.json",), ("vocab.json", "merges.txt"))
T5_VOCABULARY = (("tokenizer.json",), ("spiece.model",))


def check_pipeline(
    folder: Path,
    *,
    family: str,
    pipeline: str,
    weights: Mapping[str, str],
    vocabularies: Mapping[str, Sequence[Sequence[str]]],
) -> None:
    """Raise ModelError, naming what is missing, unless `folder` holds that pipeline of diffusers.

    `weights` gives each component's file; `vocabularies` each tokenizer's files, of which one set will do.
    """
    found = read_json(folder, "model_index.json").get("_class_name")
    if found != pipeline:
        raise ModelError(str(folder), f"holds a {found}, not a {pipeline}", f"Give a base of the family {family}.")
    _require(folder, "scheduler", "scheduler_config.json")
    for component, file in weights.items():
        _require(folder, component, "config.json")
        weight_files(folder, component, file)
    for component, choices in vocabularies.items():
        _require(folder, component, "tokenizer_config.json")
        if not any(all((folder / component / name).is_file() for name in names) for names in choices):
            _missing(folder, component, " or ".join(" and ".join(names) for names in choices))


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """A JSON file of a base.  Raises ModelError where it is missing or is none."""
    path = folder / name
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise ModelError(
            str(folder), f"is not a whole base: {name} is missing", "Give a folder in diffusers' layout."
        ) from error
    except ValueError as error:
        raise ModelError(str(path), "is not JSON", "Download or copy it again.") from error
    return dict(content)


def weight_files(folder: Path, component: str, weights: str = WEIGHTS) -> list[Path]:
    """A component's weights: one file, or several that an index names.  Raises ModelError where one is missing."""
    names, index = [weights], f"{component}/{weights}.index.json"
    if (folder / index).is_file():
        names = sorted(set(read_json(folder, index)["weight_map"].values()))
    for name in names:
        check_no_pickle(folder / component / name)
        _require(folder, component, name)
    return [folder / component / name for name in names]


def token_counter(tokenizer: PreTrainedTokenizerBase) -> Callable[[str], int]:
    """A function counting a text's tokens, special tokens included, before any truncation."""
    return lambda text: len(tokenizer(text, verbose=False).input_ids)


def _require(folder: Path, component: str, name: str) -> None:
    if not (folder / component / name).is_file():
        _missing(folder, component, name)


def _missing(folder: Path, component: str, name: str) -> None:
    raise ModelError(
        str(folder), f"is not a whole base: {component}/ lacks {name}", "Download or copy that component again."
    )
