"""Stable Diffusion 1.5 (Rombach et al. 2022): a UNet that reads one CLIP.

Belongs here: what tells it from `families.unet`'s others.
"""

from diffusers import StableDiffusionPipeline

from director_diffusion.families.unet import UnetFamily
from director_diffusion.families.unet.layout import Layout

LAYOUT = Layout(
    family="sd15",
    pipeline=StableDiffusionPipeline,
    text_encoders=("text_encoder",),
    tokenizers=("tokenizer",),
    sizes=None,
    extras={"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False},
)


class Sd15Family(UnetFamily):
    """See `families.base.Family` for what each method promises."""

    name, layout = LAYOUT.family, LAYOUT
