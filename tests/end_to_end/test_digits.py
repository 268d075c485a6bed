"""A base on pixels by command: from IDX files to a trained base, and to a grid that it draws."""

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.small_configs import FEW_STEPS, change, read
from tests.tiny_project import TinyProject


@pytest.fixture
def project(tmp_path: Path) -> TinyProject:
    """The MNIST base as it ships, with a few steps on a few digits of random pixels."""
    project = TinyProject.make(tmp_path / "project", directors=("nolan",))
    spec = read(project.configs, "bases/mnist")["trained_here"]
    spec = {**spec, "data": {**spec["data"], "held_out": 2}, "denoiser": {**spec["denoiser"], **FEW_STEPS}}
    change(project.configs, "bases/mnist", trained_here={**spec, "denoiser": {**spec["denoiser"], "preview_steps": 2}})
    return project


def write_digits(project: TinyProject) -> None:
    data = read(project.configs, "bases/mnist")["trained_here"]["data"]
    pixels = np.random.default_rng(0).integers(0, 256, (20, 28, 28), np.uint8)
    images, labels = (project.folder / data[name] for name in ("images", "labels"))
    images.parent.mkdir(parents=True)
    images.write_bytes(bytes([0, 0, 8, 3]) + struct.pack(">3I", *pixels.shape) + pixels.tobytes())
    labels.write_bytes(bytes([0, 0, 8, 1]) + struct.pack(">I", 20) + bytes([*range(10)] * 2))


def test_digits_are_trained_on_and_drawn(project: TinyProject, tmp_path: Path) -> None:
    draw = ("sample-base", "mnist", "--prompts", "3", "five", "--count", "2", "--steps", "2", "--out")
    outcome = project.director(*draw, str(tmp_path / "grid.png"))
    assert outcome.code == 1
    assert "mnist/base_model: has not been trained yet" in outcome.err

    outcome = project.director("build-base", "mnist")
    assert outcome.code == 1
    assert "t10k-images-idx3-ubyte.gz: was not found" in outcome.err
    assert "https://" in outcome.err

    write_digits(project)
    outcome = project.director("build-base", "mnist", "--export", str(tmp_path / "set"))
    assert outcome.code == 0, outcome.err
    for name, more in (("trained", ()), ("exported", ("--folder", str(tmp_path / "set" / "base")))):
        outcome = project.director(*draw, str(tmp_path / f"{name}.png"), *more)
        assert outcome.code == 0, outcome.err
        assert "2 prompts × 2 images of 32 × 32 pixels by mnist" in outcome.out
    trained, exported = (Image.open(tmp_path / f"{name}.png") for name in ("trained", "exported"))
    assert trained.tobytes() == exported.tobytes()
