"""The tiny denoisers that adapters are put into."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest
from diffusers import FluxPipeline, FluxTransformer2DModel


@pytest.fixture(scope="session")
def loaded_flux(mini_base: Path) -> FluxTransformer2DModel:
    """The mini base's transformer; copy it, do not touch it."""
    transformer = FluxTransformer2DModel.from_pretrained(mini_base / "transformer", local_files_only=True)
    return transformer.eval().requires_grad_(False)


@pytest.fixture
def flux(loaded_flux: FluxTransformer2DModel) -> Callable[[], FluxTransformer2DModel]:
    """A new copy of the mini base's transformer at every call."""
    return lambda: deepcopy(loaded_flux)


@pytest.fixture
def flux_pipeline(flux: Callable[[], FluxTransformer2DModel]) -> FluxPipeline:
    """A pipeline around the mini base's transformer, with nothing else in it: for loading adapters."""
    parts = ("scheduler", "vae", "text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2")
    return FluxPipeline(**dict.fromkeys(parts), transformer=flux())
