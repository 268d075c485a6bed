"""Families: one module per model architecture, behind one seam (`families.base.Family`).

Belongs here: how an architecture loads, encodes, packs, predicts, draws, and is used by people.  Does not: what a base
learned to predict (`processes`), the training loop, what kind an adapter is (`adapters`).
"""

from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from director_diffusion.families.base import Family, Painter
from director_diffusion.specs import Base


def get_family(name: str) -> Family:
    """The family called `name` in a base's spec."""
    from director_diffusion.families.flux import FluxFamily
    from director_diffusion.families.flux_pixel import FluxPixelFamily
    from director_diffusion.families.sd15 import Sd15Family
    from director_diffusion.families.sdxl import SdxlFamily

    families: dict[str, type[Family]] = {
        "flux": FluxFamily,
        "flux_pixel": FluxPixelFamily,
        "sdxl": SdxlFamily,
        "sd15": Sd15Family,
    }
    return families[name]()


def painter_of(base: Base, folder: Path, *, device: str) -> Painter:
    """A painter of a base, as its spec says; `folder` holds it."""
    return get_family(base.family).load_painter(
        folder,
        device=device,
        dtype=getattr(torch, base.dtype),
        guidance_kind=base.guidance.kind,
        max_tokens=base.max_prompt_tokens,
    )


def longest_count(bases: Iterable[tuple[str, Path]]) -> Callable[[str], int]:
    """A function str → int: the most tokens that any tokenizer makes of a text.  Bases are family and folder each."""
    counters = [counter for name, folder in bases for counter in get_family(name).token_counters(folder).values()]
    return lambda text: max(counter(text) for counter in counters)
