"""Leases of devices: who gets which, who waits, who is refused, and what outlives a holder."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from director_diffusion.devices import Device, DeviceLeases, Pace
from director_diffusion.errors import DeviceError, DevicesBusyError
from tests.devices.pretended import Pretended

QUICK = Pace(poll=0.01, look=0.05, patience=0.2, grace=0.0, tell=0.0)
NOW = 0.15  # seconds to wait for what should not come

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def devices(tmp_path: Path) -> Pretended:
    return Pretended.make(tmp_path)


@pytest.fixture
def leases(tmp_path: Path, devices: Pretended) -> DeviceLeases:
    return DeviceLeases(tmp_path / "leases", devices, QUICK)


def indices(had: tuple[Device, ...]) -> list[int]:
    return [device.index for device in had]


def test_each_gets_one_of_its_own_those_with_the_most_memory_first(leases: DeviceLeases, devices: Pretended) -> None:
    devices.change("GPU-0", held=10.0)
    devices.change("GPU-2", held=5.0)
    with ExitStack() as stack:
        got = [indices(stack.enter_context(leases.taken(holder=f"step {number}"))) for number in range(4)]
        assert got == [[1], [3], [2], [0]]
        with pytest.raises(
            DevicesBusyError, match=rf"GPU 0 is held by step 3 \(process {os.getpid()}\); GPU 1 is held"
        ):
            stack.enter_context(leases.taken(holder="late", wait_s=NOW))
    with leases.taken(holder="late", wait_s=0) as had:
        assert indices(had) == [1]


def test_memory_that_other_programs_hold_is_waited_for(leases: DeviceLeases, devices: Pretended) -> None:
    for number in range(4):
        devices.change(f"GPU-{number}", held=30.0)
    with pytest.raises(DevicesBusyError, match=r"GPU 3 has 50.0 GiB free of the 60.0 wanted, others hold the rest"):
        take(leases, wait_s=NOW)
    with leases.taken(holder="small", needed_bytes=40 * 2**30):
        pass
    timer = threading.Timer(0.2, lambda: devices.change("GPU-2", held=0.0))
    timer.start()
    assert take(leases, wait_s=10) == [2]
    timer.join()


def test_what_can_never_be_is_refused_at_once(leases: DeviceLeases, devices: Pretended) -> None:
    with pytest.raises(DeviceError, match=r"5 GPUs for step: are wanted, and there are 4"):
        take(leases, 5)
    with pytest.raises(DeviceError, match=r"with 100.0 GiB each: the largest has 80.0. Ask for less"):
        take(leases, needed_bytes=100 * 2**30)
    for number in range(4):
        devices.change(f"GPU-{number}", fault="is lost")
    with pytest.raises(DeviceError, match=r"of 4 that there are: GPU 0: is lost; GPU 1: is lost.*Mend them"):
        take(leases)


def test_a_device_that_fails_when_tried_is_set_aside_for_a_while(tmp_path: Path, devices: Pretended) -> None:
    leases = DeviceLeases(tmp_path / "leases", devices, Pace(poll=0.01, set_aside=0.5))
    devices.change("GPU-0", broken="error 700")
    assert take(leases) == [1]
    assert [one.fault for one in leases.survey()] == ["error 700", "", "", ""]
    with pytest.raises(DeviceError, match="GPU 0: error 700"):
        take(leases, 4)
    devices.change("GPU-0")
    time.sleep(0.6)
    assert take(leases) == [0]


def test_a_device_is_tried_once_until_something_goes_wrong_on_it(leases: DeviceLeases, devices: Pretended) -> None:
    take(leases)
    take(leases)
    assert devices.tries == ["GPU-0"]
    with pytest.raises(ZeroDivisionError), leases.taken(holder="step"):
        _ = 1 / 0
    take(leases)
    assert devices.tries == ["GPU-0", "GPU-0"]


def test_several_are_had_together_or_not_at_all(leases: DeviceLeases) -> None:
    with leases.taken(2, holder="two"):
        with pytest.raises(DevicesBusyError):
            take(leases, 3, wait_s=NOW)
        with leases.taken(2, holder="others", wait_s=0) as had:
            assert indices(had) == [2, 3]


def test_who_wants_all_is_not_passed_by_for_ever(leases: DeviceLeases) -> None:
    """Six who take one in turn leave hardly a moment at which none is held."""
    stop, got = threading.Event(), []

    def keep_taking() -> None:
        while not stop.is_set():
            with leases.taken(holder="one"):
                time.sleep(0.03)

    threads = [threading.Thread(target=keep_taking) for _ in range(6)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            got.append(take(leases, 4, wait_s=5))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert got == [[0, 1, 2, 3]] * 3


def test_who_waits_for_other_programs_stands_in_nobodys_way(leases: DeviceLeases, devices: Pretended) -> None:
    for number in range(1, 4):
        devices.change(f"GPU-{number}", held=70.0)
    failed: list[BaseException] = []

    def want_all() -> None:
        try:
            take(leases, 4, wait_s=1.0)
        except DevicesBusyError as error:
            failed.append(error)

    waiting = threading.Thread(target=want_all)
    waiting.start()
    time.sleep(2 * QUICK.patience)
    assert take(leases, wait_s=0.2) == [0]
    waiting.join()
    assert len(failed) == 1


def test_what_is_waited_for_is_told_once(leases: DeviceLeases) -> None:
    told: list[str] = []
    with leases.taken(4, holder="all"), pytest.raises(DevicesBusyError):
        take(leases, wait_s=NOW, told=told.append)
    assert len(told) == 1
    assert told[0].startswith("waiting for 1 GPU for step: GPU 0 is held by all (process")


def test_a_lease_may_be_given_back_by_another_thread(leases: DeviceLeases) -> None:
    stack = ExitStack()
    stack.enter_context(leases.taken(4, holder="desk"))
    thread = threading.Thread(target=stack.close)
    thread.start()
    thread.join()
    assert take(leases, 4, wait_s=0) == [0, 1, 2, 3]


def test_a_killed_holder_holds_nothing_and_nor_do_its_children(leases: DeviceLeases) -> None:
    with child(holding_with_a_child, leases) as (process, pipe):
        grandchild = pipe.recv()
        (held,) = (one for one in leases.survey() if one.holder)
        assert held.holder == f"killed (process {process.pid})"
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        try:
            assert take(leases, 4, wait_s=5) == [0, 1, 2, 3]
        finally:
            os.kill(grandchild, signal.SIGKILL)


def test_looking_makes_nothing(leases: DeviceLeases, tmp_path: Path) -> None:
    assert [one.holder for one in leases.survey()] == [""] * 4
    assert not (tmp_path / "leases").exists()


def test_a_folder_that_cannot_be_written_is_told(devices: Pretended, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DeviceError, match="DIRECTOR_DEVICES"):
        take(DeviceLeases(tmp_path / "file" / "leases", devices))


def take(leases: DeviceLeases, count: int = 1, **options: Any) -> list[int]:
    with leases.taken(count, holder="step", **options) as had:
        return sorted(indices(had))


@contextmanager
def child(work: Callable[..., None], *arguments: object) -> Iterator[tuple[Any, Any]]:
    spawned = multiprocessing.get_context("spawn")
    here, there = spawned.Pipe()
    process = spawned.Process(target=work, args=(*arguments, there))
    process.start()
    try:
        yield process, here
    finally:
        process.kill()
        process.join()


def holding_with_a_child(leases: DeviceLeases, pipe: Any) -> None:
    with leases.taken(2, holder="earlier"):
        pass
    with leases.taken(holder="killed"):
        grandchild = os.fork()
        if not grandchild:
            time.sleep(100)
            os._exit(0)
        pipe.send(grandchild)
        time.sleep(100)
