"""Using an adapter with Flux: diffusers alone, as most people draw.

Belongs here: the example's words.
"""

from director_diffusion.families.usage import Example


def usage(example: Example) -> str:
    """Python that draws the example with diffusers' own pipeline."""
    revision = "" if example.revision is None else f', revision="{example.revision}"'
    guidance = (
        f"guidance_scale={example.guidance}"
        if example.guidance_kind == "embedded"
        else f'true_cfg_scale={example.guidance}, negative_prompt=""'
    )
    return f"""import torch
from diffusers import FluxPipeline

pipe = FluxPipeline.from_pretrained("{example.base}"{revision}, torch_dtype=torch.{example.dtype})
pipe.load_lora_weights("{example.adapter}", weight_name="{example.weights}")
image = pipe(
    {example.quoted_prompt},
    width={example.width}, height={example.height}, num_inference_steps={example.steps}, {guidance},
    max_sequence_length={example.max_tokens},
).images[0]"""
