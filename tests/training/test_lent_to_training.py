"""Which devices a training takes: the one that it is told, and in processes of its own those that it was lent."""

import os
import subprocess
import sys

import pytest
import torch

from director_diffusion.crew import VISIBLE, seeing
from director_diffusion.training.acceleration import DEVICE_VARIABLE, accelerated
from tests.training.trainings import RECIPE

TELL = f"import os; print(os.environ.get({VISIBLE!r}))"


def visible_to_a_child() -> str:
    return subprocess.run([sys.executable, "-I", "-c", TELL], capture_output=True, text=True).stdout.strip()


def test_one_of_several_devices_is_taken_by_its_number() -> None:
    with accelerated(RECIPE, "cpu:0") as accelerator:
        assert accelerator.device == torch.device("cpu:0")
        assert DEVICE_VARIABLE not in os.environ, "for this accelerator alone"
    with accelerated(RECIPE, "cpu") as accelerator:
        assert accelerator.device == torch.device("cpu")


@pytest.mark.parametrize("before", [None, "0,1"])
def test_processes_see_the_devices_that_were_lent_and_this_one_what_it_saw(
    monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    monkeypatch.delenv(VISIBLE, raising=False)
    if before is not None:
        monkeypatch.setenv(VISIBLE, before)
    with seeing(("GPU-b", "GPU-c")):
        assert visible_to_a_child() == "GPU-b,GPU-c"
    with seeing(()):
        assert visible_to_a_child() == str(before)
    assert os.environ.get(VISIBLE) == before
