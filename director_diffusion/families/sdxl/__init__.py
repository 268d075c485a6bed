"""SDXL (Podell et al. 2023): a UNet that reads two CLIPs and is told sizes and crops.

Belongs here: what tells it from `families.unet`'s others.
"""

from diffusers import StableDiffusionXLPipeline

from director_diffusion.families.unet import UnetFamily
from director_diffusion.families.unet.layout import Layout

LAYOUT = Layout(
    family="sdxl",
    pipeline=StableDiffusionXLPipeline,
    text_encoders=("text_encoder", "text_encoder_2"),
    tokenizers=("tokenizer", "tokenizer_2"),
    sizes="text_time",
    extras={"add_watermarker": False},
)


class SdxlFamily(UnetFamily):
    """See `families.base.Family` for what each method promises."""

    name, layout = LAYOUT.family, LAYOUT
