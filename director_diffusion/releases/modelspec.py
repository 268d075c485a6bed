"""ModelSpec: what a delivered adapter says of itself to the programs that list it.

Belongs here: the header's entries of https://github.com/Stability-AI/ModelSpec (1.0.1), in its words.
"""

import base64
import io
from dataclasses import dataclass

from PIL import Image

from director_diffusion.specs import Base

THUMBNAIL_SIDE = 256  # pixels at most
_QUALITY = 80


@dataclass(frozen=True)
class Told:
    """What people are told of a delivered adapter."""

    title: str
    author: str
    description: str
    date: str  # ISO 8601
    licence: str
    usage_hint: str
    trigger: str
    width: int  # pixels of a picture
    height: int
    thumbnail: Image.Image | None
    tensors_sha256: str


def modelspec(told: Told, base: Base) -> dict[str, str]:
    """The entries, by key."""
    entries = {
        "sai_model_spec": "1.0.1",
        "architecture": f"{_architecture(base)}/lora",  # LoKr too: whatever loads LoRAs loads it
        "implementation": "diffusers",
        "title": told.title,
        "author": told.author,
        "description": told.description,
        "date": told.date,
        "license": told.licence,
        "usage_hint": told.usage_hint,
        "trigger_phrase": told.trigger,
        "resolution": f"{told.width}x{told.height}",
        "hash_sha256": f"0x{told.tensors_sha256}",
    }
    if told.thumbnail is not None:
        entries["thumbnail"] = _data_uri(told.thumbnail)
    return {f"modelspec.{name}": value for name, value in entries.items()}


def _architecture(base: Base) -> str:
    """ModelSpec's own name where it has one: bases of other sizes are other architectures, under our name for them."""
    if base.trained_here is not None or base.family == "flux_pixel":
        return base.model_id.rsplit("/", 1)[-1]
    if base.family == "flux":
        return "flux-1-dev" if base.guidance.kind == "embedded" else "flux-1-schnell"
    return {"sdxl": "stable-diffusion-xl-v1-base", "sd15": "stable-diffusion-v1"}[base.family]


def _data_uri(image: Image.Image) -> str:
    small = image.convert("RGB")
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, format="JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
