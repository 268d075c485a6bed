"""Finished steps: their curve without their weights, and damage told as such."""

import uuid
from pathlib import Path

import pytest
import torch

from director_diffusion.errors import TrainingError
from director_diffusion.storage import Store
from director_diffusion.training.finished import FinishedStep, FinishedSteps
from director_diffusion.training.rows import CurvePoint

CURVE = (CurvePoint(0, None, None, None, 0.5), CurvePoint(1, 0.1, 0.4, 1.0, None), CurvePoint(2, 0.1, 0.4, 1.0, 0.3))
LENGTH = 8  # bytes that tell the header's length


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(str(tmp_path) if request.param == "local" else f"memory://{uuid.uuid4().hex}")


@pytest.fixture
def steps(store: Store) -> FinishedSteps:
    """Steps 1 and 2 of a training."""
    steps = FinishedSteps(store, "abc")
    for step in (1, 2):
        steps.save(step, FinishedStep({"w": torch.ones(1000, 1000)}, CURVE[: step + 1], {"torch": "2"}))
    return steps


def test_the_newest_curve_is_read_without_its_weights(
    store: Store, steps: FinishedSteps, monkeypatch: pytest.MonkeyPatch
) -> None:
    received: list[int] = []
    original = store.files.read

    def counting(name: str, start: int = 0, end: int | None = None) -> bytes:
        data = original(name, start, end)
        received.append(len(data))
        return data

    monkeypatch.setattr(store.files, "read", counting)
    assert steps.curve() == CURVE
    assert sum(received) < 2000, "of 4 MB"
    assert steps.load(2).curve == CURVE
    assert FinishedSteps(store, "other").curve() == ()


@pytest.mark.parametrize(
    "damage", ["empty", "short", "cut header", "long header", "garbage", "no curve", "other curve"]
)
def test_a_damaged_header_is_named(store: Store, steps: FinishedSteps, damage: str) -> None:
    name = steps.name(2)
    data = store.read(name)
    length = int.from_bytes(data[:LENGTH], "little")
    damaged = {
        "empty": b"",
        "short": data[:5],
        "cut header": data[: LENGTH + length // 2],
        "long header": b"\xff" * LENGTH + data[LENGTH:],
        "garbage": data[:LENGTH] + b"\xff" * length + data[LENGTH + length :],
        "no curve": data.replace(b'"curve"', b'"curbe"'),
        "other curve": data.replace(b"held_out_loss", b"held_out_mass"),
    }
    store.write(name, damaged[damage])
    for read in (steps.curve, lambda: steps.load(2)):
        with pytest.raises(TrainingError, match=r"step-000002\.safetensors: is damaged\. Delete cache/trainings/abc"):
            read()
