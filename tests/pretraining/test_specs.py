"""Specs of parts: what no model could be made of is refused when it is read, by key, value and what is allowed."""

from pathlib import Path

import pytest
import yaml

from director_diffusion.catalog import load_spec
from director_diffusion.errors import SpecError
from director_diffusion.pretraining.specs import CaptionerPart, DenoiserPart, EmbedderPart, VaePart
from director_diffusion.specs import Base
from tests.pretraining.small_bases import DENOISER, STEPS, VAE, small_base

EMBEDDER = {**STEPS, "tower": "test_convnext"}


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("vae", {"channels": [16, 17]}, r"vae\.channels = \[16, 17\]: each must be an even number"),
        ("vae", {"channels": [8]}, r"vae\.channels = \[8\]: each must be an even number, 16 or more"),
        ("vae", {"latent_channels": 2}, r"vae\.latent_channels = 2: must be 3 or more"),
        ("denoiser", {"pooled_width": 100}, r"denoiser\.pooled_width = 100: must be divisible by its heads"),
        ("captioner", {"width": 100}, r"captioner.*: width 100 must be a multiple of 2 × heads 3"),
        ("captioner", {"width": 9}, r"captioner.*: width 9 must be a multiple of 2 × heads 3"),
        ("captioner", {"vision_width": 20}, r"captioner.*: vision_width 20 must be a multiple of 4 × vision_heads 2"),
        ("embedder", {"text_heads": 3}, r"embedder.*: text_width 64 must be a multiple of text_heads 3"),
        ("style_encoder", {"batch_size": 2}, r"style_encoder\.batch_size = 2: must be 4 or more"),
    ],
)
def test_sizes_that_no_model_has_are_refused(tmp_path: Path, part: str, changes: object, message: str) -> None:
    parts = {
        "vae": VAE,
        "denoiser": DENOISER,
        "captioner": {**STEPS, "max_pixels": 1024},
        "embedder": EMBEDDER,
        "style_encoder": {**STEPS, "architecture": "test_convnext"},
    }
    base = small_base().model_dump(mode="json", exclude={"slug"})
    file = tmp_path / "small.yaml"

    def load(**changed: object) -> Base:
        file.write_text(yaml.safe_dump({**base, "trained_here": {**base["trained_here"], **parts, **changed}}))
        return load_spec(file, Base)

    load()
    with pytest.raises(SpecError, match=message):
        load(**{part: {**parts[part], **changes}})  # type: ignore[dict-item]


def test_the_smallest_sizes_are_taken() -> None:
    VaePart.model_validate({**VAE, "channels": [16, 18], "latent_channels": 3})
    DenoiserPart.model_validate({**DENOISER, "pooled_width": 16})
    CaptionerPart.model_validate({**STEPS, "max_pixels": 1024, "width": 6, "vision_width": 8})
    EmbedderPart.model_validate({**EMBEDDER, "text_heads": 64})
