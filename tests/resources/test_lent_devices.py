"""What a stage's body is lent: a device of its own for as long as it runs, and none where nothing is to be done."""

import threading
from contextlib import ExitStack
from pathlib import Path

import dagster as dg
import pytest

from director_diffusion.devices import DeviceLeases
from director_diffusion.storage import Artifact
from resources.configs import ConfigsResource
from resources.hub import HubResource
from resources.machine import MachineResource, Place, ProgressResource
from resources.models import ModelsResource
from resources.needs import one_gpu
from resources.stage import stage
from resources.stage_run import StageResult, StageRun
from resources.store import ArtifactIOManager, StoreResource
from resources.votes import VotesResource
from tests.devices.pretended import Pretended
from tests.devices.pretended_machine import PretendedMachine


class Rooms:
    """Three toy stages, of which two want devices, and what they were lent."""

    def __init__(self, folder: Path):
        self.folder, self.devices = folder, Pretended.make(folder)
        self.lent: dict[str, Place] = {}
        self.held: list[list[str]] = []
        self.failure: Exception | None = None
        self.instance = dg.DagsterInstance.ephemeral()
        self.machine = PretendedMachine(
            kind="cuda",
            captioning_batch=1,
            training_processes=2,
            leases=str(folder / "leases"),
            devices_file=str(self.devices.path),
        )

    def run(self) -> dg.ExecuteInProcessResult:
        store = StoreResource(url=str(self.folder / "store"))
        return dg.materialize(
            self._assets(),
            instance=self.instance,
            raise_on_error=False,
            resources={
                "store": store,
                "artifacts": ArtifactIOManager(store=store),
                "models": ModelsResource(root=str(self.folder), cache=str(self.folder / "models"), store=store),
                "machine": self.machine,
                "hub": HubResource(url=str(self.folder / "hub")),
                "configs": ConfigsResource(folder=str(self.folder)),
                "votes": VotesResource(url=None),
                "progress": ProgressResource(),
            },
        )

    def leases(self) -> DeviceLeases:
        return self.machine.device_leases()

    def _assets(self) -> list[dg.AssetsDefinition]:
        def look(run: StageRun, name: str) -> StageResult:
            self.lent[name] = run.place
            self.held.append([one.holder for one in self.leases().survey() if one.holder])
            (run.out / "text.txt").write_text(name)
            if self.failure:
                raise self.failure
            return run.result()

        @stage(partitions=None, group="toy", version="1")
        def plain(run: StageRun) -> StageResult:
            return look(run, "plain")

        @stage(partitions=None, group="toy", version="1", needs=one_gpu())
        def drawn(run: StageRun, plain: Artifact) -> StageResult:
            return look(run, "drawn")

        @stage(partitions=None, group="toy", version="1", needs=one_gpu(each_process=True))
        def trained(run: StageRun, drawn: Artifact) -> StageResult:
            return look(run, "trained")

        return [plain, drawn, trained]


@pytest.fixture
def rooms(tmp_path: Path) -> Rooms:
    return Rooms(tmp_path)


def test_a_stage_of_the_pool_has_a_device_of_its_own_while_it_runs(rooms: Rooms) -> None:
    rooms.devices.change("GPU-0", held=10.0)
    assert rooms.run().success
    assert rooms.lent == {
        "plain": Place("cpu"),
        "drawn": Place("cpu", ("GPU-1",)),
        "trained": Place("cpu", ("GPU-1", "GPU-2")),
    }
    assert [len(held) for held in rooms.held] == [0, 1, 2]
    assert rooms.held[1][0].startswith("drawn of run ")
    assert all(not one.holder for one in rooms.leases().survey())


def test_what_is_found_again_waits_for_no_device(rooms: Rooms) -> None:
    rooms.run()
    rooms.lent.clear()
    with rooms.leases().taken(4, holder="somebody"):
        assert rooms.run().success
    assert rooms.lent == {}


def test_who_waits_says_for_whom(rooms: Rooms, capfd: pytest.CaptureFixture[str]) -> None:
    """Another deployment's step, say, or a command: all of them take the same leases."""
    with ExitStack() as stack:
        stack.enter_context(rooms.leases().taken(4, holder="director sample"))
        end = threading.Timer(2.0, stack.pop_all().close)
        end.start()
        assert rooms.run().success
        end.join()
    assert "waiting for 1 GPU for drawn of run " in (told := capfd.readouterr().err)
    assert "GPU 0 is held by director sample (process" in told


def test_a_stage_that_fails_gives_its_device_back(rooms: Rooms) -> None:
    rooms.failure = RuntimeError("broken")
    assert not rooms.run().success
    assert list(rooms.lent) == ["plain"]
    rooms.failure = None
    assert rooms.run().success
    with rooms.leases().taken(4, holder="next", wait_s=0) as had:
        assert len(had) == 4


def test_a_machine_without_such_devices_fails_the_step_with_the_way_out(rooms: Rooms) -> None:
    for number in range(4):
        rooms.devices.change(f"GPU-{number}", fault="is lost")
    result = rooms.run()
    (failed,) = result.get_step_failure_events()
    data = failed.step_failure_data.user_failure_data
    assert data is not None
    assert data.description is not None
    assert "1 GPU for drawn" in data.description
    assert "GPU 0: is lost" in data.description


def test_the_cpu_is_leased_to_nobody(tmp_path: Path) -> None:
    machine = MachineResource(kind="cpu", captioning_batch=1, leases=str(tmp_path / "leases"))
    with machine.lent(2, holder="step", told=print) as place:
        assert place == Place("cpu")
    assert not (tmp_path / "leases").exists()


def test_memory_that_the_deployment_asks_for_is_waited_for(rooms: Rooms) -> None:
    rooms.devices.write({f"GPU-{number}": {"held": 50.0} for number in range(4)})
    modest = rooms.machine.model_copy(update={"gpu_memory_gib": 20.0})
    with modest.lent(holder="step", told=print) as place:
        assert place.devices == ("GPU-0",)
