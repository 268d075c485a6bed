"""Using an adapter with Flux on pixels: this project's painter, since diffusers' pipeline draws nothing without a VAE.

Belongs here: the example's words.
"""

from director_diffusion.families.usage import Example


def usage(example: Example) -> str:
    """Python that draws the example with `FluxPixelPainter`."""
    if example.revision is None:
        imports, base = "hf_hub_download", f'Path("{example.base}")'
    else:
        imports = "hf_hub_download, snapshot_download"
        base = f'Path(snapshot_download("{example.base}", revision="{example.revision}"))'
    return f"""# diffusers' own FluxPipeline needs a VAE, which this base has not: director-diffusion draws its pixels.
from pathlib import Path

import torch
from director_diffusion.families import get_family
from huggingface_hub import {imports}

painter = get_family("flux_pixel").load_painter(
    {base},
    device="cpu", dtype=torch.{example.dtype}, guidance_kind="{example.guidance_kind}",
    max_tokens={example.max_tokens},
)
painter.attach(Path(hf_hub_download("{example.adapter}", "{example.weights}")))
image = painter.draw(
    [{example.quoted_prompt}], [0],
    width={example.width}, height={example.height}, steps={example.steps}, guidance={example.guidance},
)[0]"""
