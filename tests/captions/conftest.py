"""A captioner that has learned nothing, for what must hold whatever it says."""

from pathlib import Path

import pytest

from director_diffusion.catalog import load_catalog
from tests.small_configs import CONFIGS


@pytest.fixture(scope="session")
def untrained_captioner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """mini's captioner before its first step, in transformers' layout; read it, do not write to it."""
    from director_diffusion.pretraining import captioner
    from director_diffusion.pretraining.loop import seeded

    spec = load_catalog(CONFIGS).bases["mini"].trained_here
    assert spec is not None
    assert spec.captioner is not None
    folder = tmp_path_factory.mktemp("untrained_captioner")
    with seeded("untrained captioner"):
        captioner.save_captioner(*captioner.untrained_captioner(spec.captioner), folder)
    return folder
