"""The base that an adapter was trained on, for commands that write it for other tools.

Belongs here: finding it by what the adapter's file says, and refusing another in its place.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from director_diffusion.errors import ModelError, SpecError
from director_diffusion.specs import Base
from pipelines.build import build_models
from pipelines.surroundings import Surroundings

if TYPE_CHECKING:
    from torch import nn


def base_of(surroundings: Surroundings, header: Mapping[str, str]) -> Base:
    """Of the recipe in the file, whose YAML may have changed since.  Raises SpecError where the base is gone."""
    slug = json.loads(header["recipe_spec"])["base"]
    bases = surroundings.catalog.bases
    if slug not in bases:
        raise SpecError(slug, "is no base any more, and this adapter was trained on it", "Put its YAML back.")
    return bases[slug]


def denoiser_for(surroundings: Surroundings, base: Base, header: Mapping[str, str]) -> "nn.Module | None":
    """The base's denoiser on the CPU for a DoRA, whose magnitudes are told against it; None for other adapters.

    Raises ModelError where the base's content is no longer what was trained on.
    """
    if not json.loads(header["recipe_spec"])["adapter"].get("dora"):
        return None
    import torch

    from director_diffusion.families import get_family

    models = build_models(surroundings)
    if models.fingerprint(base.source) != header["base_content"]:
        raise ModelError(
            f"base {base.slug}",
            "is another than this adapter's DoRA was trained on",
            "Train the adapter again, or put that base back.",
        )
    return get_family(base.family).load_denoiser(models.base_folder(base), device="cpu", dtype=torch.float32)
