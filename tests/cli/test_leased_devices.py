"""GPUs of `director`: where a machine's leases lie, and what the doctor tells of them."""

from pathlib import Path

import pytest

from pipelines import build
from pipelines.cli.doctor import examine_devices
from pipelines.surroundings import Surroundings, read_surroundings
from resources.machine import MachineResource
from tests.devices.pretended import Pretended
from tests.devices.pretended_machine import PretendedMachine


@pytest.fixture
def devices(tmp_path: Path) -> Pretended:
    return Pretended.make(tmp_path)


@pytest.fixture
def machine(tmp_path: Path, devices: Pretended) -> PretendedMachine:
    return PretendedMachine(
        kind="cuda", captioning_batch=4, leases=str(tmp_path / "leases"), devices_file=str(devices.path)
    )


def test_the_doctor_tells_who_has_which_and_which_is_set_aside(machine: PretendedMachine, devices: Pretended) -> None:
    devices.change("GPU-2", fault="is lost")
    with machine.lent(holder="nolan's captions", told=print):
        found = examine_devices(machine, gpus=4)
    assert [(finding.name, finding.state) for finding in found] == [
        ("GPU 0", "ok"),
        ("GPU 1", "ok"),
        ("GPU 2", "warning"),
        ("GPU 3", "ok"),
        ("GPUs", "missing"),
    ]
    assert "80.0 of 80.0 GiB free, held by nolan's captions (process" in found[0].detail
    assert found[1].detail == "pretended, 80.0 of 80.0 GiB free"
    assert "is lost" in found[2].detail
    assert found[-1].detail == "3 that work, of 4 that the deployment wants"
    assert examine_devices(MachineResource(kind="cpu", captioning_batch=1), gpus=0) == []


@pytest.mark.parametrize(
    ("environment", "folder"),
    [({}, "/var/tmp/director-devices-"), ({"DIRECTOR_DEVICES": "/srv/leases"}, "/srv/leases")],
)
def test_leases_are_the_machines_whatever_the_store(environment: dict[str, str], folder: str) -> None:
    def of(**more: str) -> Surroundings:
        return read_surroundings(environment | more)

    one, other = of(DIRECTOR_STORE="/a", TMPDIR="/b"), of(DIRECTOR_STORE="/c", DIRECTOR_DEPLOYMENT="gpu")
    assert one.leases == other.leases
    assert str(one.leases).startswith(folder)
    assert {build.build_machine(of).leases for of in (one, other)} == {str(one.leases)}
