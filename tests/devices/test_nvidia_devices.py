"""NVIDIA's devices, as a driver tells of them that answers in the words that a test gives it."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from director_diffusion.devices import Device
from director_diffusion.devices.in_torch import used_in_torch
from director_diffusion.devices.nvidia import NvidiaDevices
from director_diffusion.errors import DeviceError

GOOD = """\
0, GPU-aa, NVIDIA H200, 143771, 143000, 0
1, GPU-bb, NVIDIA H200, 143771, 1000, 0
"""
MIB = 2**20


@pytest.fixture(autouse=True)
def torch_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch counts in another order than the driver, and does not see the third."""
    seen = [SimpleNamespace(uuid="bb"), SimpleNamespace(uuid="aa")]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(seen))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda place: seen[place])


def driver(folder: Path, script: str) -> NvidiaDevices:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    (folder / "buses").mkdir()
    return NvidiaDevices(str(program), folder / "buses")


def says(folder: Path, text: str) -> NvidiaDevices:
    (folder / "said").write_text(text)
    return driver(folder, f"cat {folder / 'said'}")


def test_what_the_driver_tells_of_those_that_torch_sees(tmp_path: Path) -> None:
    devices = says(tmp_path, GOOD + "2, GPU-cc, NVIDIA H200, 143771, 143000, 0\n")
    assert devices.table() == [
        Device(0, "GPU-aa", "NVIDIA H200", 143771 * MIB, 143000 * MIB),
        Device(1, "GPU-bb", "NVIDIA H200", 143771 * MIB, 1000 * MIB),
    ]


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("2, GPU-cc, NVIDIA H200, 143771, 143000, 3", "memory errors that could not be corrected: 3"),
        ("2, GPU-cc, NVIDIA H200, 143771, [Unknown Error], [N/A]", "tells no memory of it, but [Unknown Error]"),
        ("2, GPU-cc, NVIDIA H200, [GPU requires reset], [GPU requires reset], 0", "but [GPU requires reset]"),
    ],
)
def test_what_the_driver_has_against_one_is_its_fault(tmp_path: Path, row: str, fault: str) -> None:
    found = says(tmp_path, GOOD + row).table()
    assert [bool(device.fault) for device in found] == [False, False, True]
    assert fault in found[2].fault


def test_one_without_error_correction_is_well(tmp_path: Path) -> None:
    (device,) = says(tmp_path, "0, GPU-aa, NVIDIA RTX 4090, 24564, 24000, [N/A]").table()
    assert not device.fault


def test_one_that_is_lost_does_not_take_the_others_along(tmp_path: Path) -> None:
    (tmp_path / "one").write_text(GOOD.splitlines()[0])
    devices = driver(
        tmp_path,
        f"case \"$*\" in *--id=0000:3b*) cat {tmp_path / 'one'};; *) echo 'GPU is lost. Reboot'; exit 15;; esac",
    )
    for bus in ("0000:5e:00.0", "0000:3b:00.0"):
        (tmp_path / "buses" / bus).mkdir()
    good, lost = devices.table()
    assert (good.uuid, good.fault) == ("GPU-aa", "")
    assert (lost.index, lost.uuid) == (1, "0000:5e:00.0")
    assert "GPU is lost. Reboot" in lost.fault


def test_a_driver_that_is_not_there_or_fails_is_told(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"is not installed. Install NVIDIA's driver"):
        NvidiaDevices(str(tmp_path / "none")).table()
    with pytest.raises(DeviceError, match="nvidia-smi: fails: no driver is running"):
        driver(tmp_path, "echo no driver is running; exit 9").table()


def test_devices_go_by_torchs_own_numbers(tmp_path: Path) -> None:
    first, second = says(tmp_path, GOOD).table()
    with used_in_torch([first, second]) as names:
        assert names == ("cuda:1", "cuda:0")
    with pytest.raises(DeviceError, match="is not seen by torch"), used_in_torch([Device(2, "GPU-cc", "", 1, 1)]):
        pass


@pytest.mark.skipif(Path("/proc/driver/nvidia").exists(), reason="this machine has a GPU")
def test_a_try_on_a_machine_without_a_driver_fails_in_words(tmp_path: Path) -> None:
    device = Device(0, "GPU-aa", "none", 1, 1)
    assert NvidiaDevices().fault_of(device).startswith("the driver cannot be loaded: libcuda")
