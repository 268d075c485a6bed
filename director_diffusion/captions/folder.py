"""The captioner's folder: is it all there?

Belongs here: what must lie in a folder for transformers to load a whole Qwen2.5-VL from it.  Asked beforehand, because
transformers takes the absence of some files for a wish: without config.json it makes the largest model there is, at
random, and without a tokenizer's vocabulary it makes an empty one.  Imports no torch.
"""

import json
from pathlib import Path
from typing import Any

from director_diffusion.errors import ModelError
from director_diffusion.models.pickles import check_no_pickle

MODEL_TYPE = "qwen2_5_vl"
_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"
_NEEDED = (
    ("config.json",),
    (_WEIGHTS, _INDEX),
    ("tokenizer.json", "vocab.json"),
    ("tokenizer_config.json",),
    ("preprocessor_config.json", "processor_config.json"),
)
_TEMPLATES = ("chat_template.jinja", "chat_template.json")


def check_captioner_folder(folder: Path) -> None:
    """Raise ModelError, naming what is missing, unless `folder` holds a complete Qwen2.5-VL."""
    for names in _NEEDED:
        if not any((folder / name).is_file() for name in names):
            raise _incomplete(folder, f"lacks {' or '.join(names)}")
    found = _json(folder / "config.json").get("model_type")
    if found != MODEL_TYPE:
        raise ModelError(
            str(folder), f"holds a model of type {found!r}, not {MODEL_TYPE!r}", "Choose a Qwen2.5-VL as captioner."
        )
    in_tokenizer = "chat_template" in _json(folder / "tokenizer_config.json")
    if not in_tokenizer and not any((folder / name).is_file() for name in _TEMPLATES):
        raise _incomplete(folder, f"lacks {' or '.join(_TEMPLATES)}")
    if not (folder / _WEIGHTS).is_file():
        for shard in sorted(set(_json(folder / _INDEX)["weight_map"].values())):
            check_no_pickle(folder / shard)
            if not (folder / shard).is_file():
                raise _incomplete(folder, f"lacks {shard}, which {_INDEX} names")


def _json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise _incomplete(path, f"is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise _incomplete(path, "holds no JSON object")
    return data


def _incomplete(thing: Path, problem: str) -> ModelError:
    return ModelError(str(thing), problem, "Fetch the captioner again, or choose another.")
