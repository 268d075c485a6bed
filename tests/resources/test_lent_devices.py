"""What a stage's body is lent: a device of its own for as long as it runs, and none where nothing is to be done."""

import threading
from contextlib import ExitStack
from pathlib import Path

import dagster as dg
import pytest

from director_diffusion.devices import DeviceLeases
from director_diffusion.storage import Artifact
from resources.machine import MachineResource, Place
from resources.needs import GPUS_TAG, NOTHING, Shares, needs_of, one_gpu
from resources.stage import stage
from resources.stage_run import StageResult, StageRun
from tests.devices.pretended import Pretended
from tests.devices.pretended_machine import PretendedMachine
from tests.stage_resources import stage_resources


class Rooms:
    """Four toy stages, of which three want devices, and what they were lent."""

    def __init__(self, folder: Path):
        self.folder, self.devices = folder, Pretended.make(folder)
        self.lent: dict[str, Place] = {}
        self.held: list[list[str]] = []
        self.failure: Exception | None = None
        self.instance = dg.DagsterInstance.ephemeral()
        self.machine = PretendedMachine(
            kind="cuda",
            captioning_batch=1,
            gpus=4,
            training_processes=2,
            leases=str(folder / "leases"),
            devices_file=str(self.devices.path),
        )

    def run(self, **tags: str) -> dg.ExecuteInProcessResult:
        return dg.materialize(
            self._assets(),
            instance=self.instance,
            raise_on_error=False,
            tags={f"director/{name}": value for name, value in tags.items()},
            resources=stage_resources(self.folder, machine=self.machine),
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

        @stage(partitions=None, group="toy", version="1", needs=one_gpu(Shares("training", (1, 2))))
        def trained(run: StageRun, drawn: Artifact) -> StageResult:
            return look(run, "trained")

        @stage(partitions=None, group="toy", version="1", needs=one_gpu(Shares("drawing")))
        def sampled(run: StageRun, trained: Artifact) -> StageResult:
            return look(run, "sampled")

        return [plain, drawn, trained, sampled]


@pytest.fixture
def rooms(tmp_path: Path) -> Rooms:
    return Rooms(tmp_path)


def test_a_stage_of_the_pool_has_a_device_of_its_own_while_it_runs(rooms: Rooms) -> None:
    rooms.devices.change("GPU-0", held=10.0)
    assert rooms.run().success
    assert rooms.lent == {
        "plain": Place("cpu"),
        "drawn": Place("cpu", ("GPU-1",)),
        "trained": Place("cpu", ("GPU-1", "GPU-2"), processes=2),
        "sampled": Place("cpu", ("GPU-1",)),
    }
    assert [len(held) for held in rooms.held] == [0, 1, 2, 1]
    assert rooms.held[1][0].startswith("drawn of run ")
    assert all(not one.holder for one in rooms.leases().survey())


def test_a_run_may_ask_for_more_where_work_can_be_shared_and_comes_to_the_same(
    rooms: Rooms, capfd: pytest.CaptureFixture[str]
) -> None:
    assert rooms.run(gpus="3").success
    assert {name: len(place.devices) for name, place in rooms.lent.items()} == {
        "plain": 0,
        "drawn": 1,
        "trained": 2,
        "sampled": 3,
    }
    assert "Shared by 2 of the 3 that may: training divides evenly by 1 or 2." in capfd.readouterr().err
    rooms.lent.clear()
    assert rooms.run().success
    assert rooms.lent == {}, "its key says nothing of GPUs"


def test_a_run_may_ask_for_fewer_than_the_deployment_gives(rooms: Rooms) -> None:
    assert rooms.run(gpus="1").success
    assert [len(place.devices) for place in rooms.lent.values()] == [0, 1, 1, 1]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("many", "director/gpus 'many': is no whole number from 1 to 1024"),
        ("0", "director/gpus '0': is no whole number from 1 to 1024"),
        ("5", "director/gpus 5: is more than the GPUs of this deployment: 4. Ask for 4 or fewer."),
    ],
)
def test_a_tag_that_cannot_be_had_is_refused_in_words(rooms: Rooms, asked: str, said: str) -> None:
    (failed,) = rooms.run(gpus=asked).get_step_failure_events()
    data = failed.step_failure_data.user_failure_data
    assert failed.step_key == "trained"
    assert data is not None
    assert said in (data.description or "")


def test_what_a_step_can_share_is_told_by_its_ops_tags() -> None:
    """For whoever starts steps elsewhere and knows no more of them."""
    for needs in (NOTHING, one_gpu(), one_gpu(Shares("training", (1, 2, 4))), one_gpu(Shares("drawing"))):
        assert needs_of(needs.tags) == needs
    assert one_gpu(Shares("training", (1, 2, 4))).devices({GPUS_TAG: "7"}, gpus=8) == 4


def test_steps_that_each_want_most_of_the_devices_take_turns(rooms: Rooms) -> None:
    """None of them ever holds a part of what it wants, so that they never wait for each other."""
    turns: list[int] = []

    def take() -> None:
        for _ in range(3):
            with rooms.machine.lent(3, holder="step", told=lambda words: None, wait_s=60) as place:
                turns.append(len(place.devices))

    threads = [threading.Thread(target=take) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert turns == [3] * 9


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
        assert place == Place("cpu", processes=2)
    assert not (tmp_path / "leases").exists()


def test_memory_that_the_deployment_asks_for_is_waited_for(rooms: Rooms) -> None:
    rooms.devices.write({f"GPU-{number}": {"held": 50.0} for number in range(4)})
    modest = rooms.machine.model_copy(update={"gpu_memory_gib": 20.0})
    with modest.lent(holder="step", told=print) as place:
        assert place.devices == ("GPU-0",)
