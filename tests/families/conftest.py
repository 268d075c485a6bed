"""Bases that several tests of families share."""

from pathlib import Path
from typing import Any

import pytest

from tests.families.unets import save_base


@pytest.fixture(scope="session")
def sdxl_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny untrained base of SDXL's classes; read it, do not write to it."""
    return save_base(tmp_path_factory.mktemp("sdxl"), "sdxl")


@pytest.fixture(scope="session")
def sd15_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny untrained base of SD 1.5's classes; read it, do not write to it."""
    return save_base(tmp_path_factory.mktemp("sd15"), "sd15")


@pytest.fixture(params=["sdxl", "sd15"])
def unet_base(request: pytest.FixtureRequest) -> tuple[str, Path]:
    """Each of the two, with its family's name."""
    folder: Any = request.getfixturevalue(f"{request.param}_base")
    return request.param, folder
