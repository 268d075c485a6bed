"""Using an adapter with a UNet: diffusers alone, as most people draw.

Belongs here: the example's words.
"""

from director_diffusion.families.unet.layout import Layout
from director_diffusion.families.usage import Example


def usage(example: Example, layout: Layout) -> str:
    """Python that draws the example with diffusers' own pipeline."""
    revision = "" if example.revision is None else f', revision="{example.revision}"'
    pipeline, guidance = layout.pipeline.__name__, f"guidance_scale={example.guidance}"
    return f"""import torch
from diffusers import {pipeline}

pipe = {pipeline}.from_pretrained(
    "{example.base}"{revision}, torch_dtype=torch.{example.dtype}
)
pipe.load_lora_weights("{example.adapter}", weight_name="{example.weights}")
image = pipe(
    {example.quoted_prompt},
    width={example.width}, height={example.height}, num_inference_steps={example.steps}, {guidance},
).images[0]"""
