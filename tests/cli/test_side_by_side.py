"""Several directors at a time: what comes back, and what is left when somebody dies.

Belongs here: the processes of `director run`; what is run in them is tests/end_to_end's.
"""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from director_diffusion.errors import StoreError
from pipelines.cli.workers import Died, in_turn, in_workers
from pipelines.surroundings import CHECKOUT

if TYPE_CHECKING:
    from pipelines.cli.screen import Screen

pytestmark = [pytest.mark.timeout(120), pytest.mark.xdist_group("children")]


class Shown:
    """A screen that remembers."""

    def __init__(self) -> None:
        self.bars: list[list[object]] = []
        self.said: list[str] = []

    def open_bar(self, title: str, total: int) -> int:
        self.bars.append([title, total, 0, "", False])
        return len(self.bars) - 1

    def advance(self, bar: int, steps: int, note: str) -> None:
        title, total, done, _, ended = self.bars[bar]
        assert isinstance(done, int)
        self.bars[bar] = [title, total, done + steps, note, ended]

    def close_bar(self, bar: int) -> None:
        self.bars[bar][-1] = True

    def say(self, text: str) -> None:
        self.said.append(text)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, path
        time.sleep(0.01)


@contextmanager
def work(folder: Path, screen: "Screen") -> Iterator[Callable[[str], str]]:
    """What a word asks for, `NAME` or `NAME ACTION`; leaves a file of that name, with the process's number."""

    def do(item: str) -> str:
        name, _, action = item.partition(" ")
        bar = screen.open_bar(name, 2)
        try:
            (folder / name).write_text(str(os.getpid()))
            if action == "dies":
                os.kill(os.getpid(), signal.SIGKILL)
            elif action == "breaks":
                raise RuntimeError("out of order")
            elif action.startswith("lasts"):
                time.sleep(100)
            elif action.startswith("after"):
                wait_for(folder / action.removeprefix("after "))
            elif action.startswith("fails after"):
                wait_for(folder / action.removeprefix("fails after "))
                raise StoreError(name, "is full", "Make room.")
        except KeyboardInterrupt:
            (folder / f"{name}-told").touch()
            if action == "lasts and is slow":
                time.sleep(1.5)
            (folder / f"{name}-ended").touch()
            raise KeyboardInterrupt(f"{name} stopped") from None
        screen.advance(bar, 2, "done")
        screen.close_bar(bar)
        screen.say(f"{name} is over")
        return name.upper()

    yield do


def test_two_are_at_work_together_and_answers_come_in_order(tmp_path: Path) -> None:
    shown = Shown()
    with in_workers(partial(work, tmp_path), 2, shown) as run_all:
        assert run_all(["a after b", "b after a", "c", "d"]) == ["A", "B", "C", "D"]
        assert run_all(["e"]) == ["E"]
    processes = {int((tmp_path / name).read_text()) for name in "abcde"}
    assert len(processes) == 2, "which opened what they need once"
    assert os.getpid() not in processes
    assert not any(psutil.pid_exists(pid) for pid in processes)
    assert sorted(shown.bars) == [[name, 2, 2, "done", True] for name in "abcde"]
    assert sorted(shown.said) == [f"{name} is over" for name in "abcde"]


def test_in_turn_is_the_same_in_this_process(tmp_path: Path) -> None:
    with in_turn(partial(work, tmp_path), Shown()) as run_all:
        assert run_all(["a", "b"]) == ["A", "B"]
    assert {int((tmp_path / name).read_text()) for name in "ab"} == {os.getpid()}


def test_a_worker_that_dies_takes_only_its_own_along(tmp_path: Path) -> None:
    with in_workers(partial(work, tmp_path), 2, Shown()) as run_all:
        assert run_all(["a dies", "b", "c dies", "d"]) == [Died("a dies", -9), "B", Died("c dies", -9), "D"]
        assert run_all(["e", "f"]) == ["E", "F"], "others take their places"


def test_an_error_of_one_ends_the_others_in_good_order(tmp_path: Path) -> None:
    with (
        pytest.raises(StoreError, match=r"b: is full\. Make room\."),
        in_workers(partial(work, tmp_path), 3, Shown()) as run_all,
    ):
        run_all(["a lasts", "b fails after a", "c after b"])
    assert (tmp_path / "a-ended").exists()


def test_an_unforeseen_error_comes_with_where_it_was(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match=r"(?s)a process of this command failed:.*in do.*out of order"),
        in_workers(partial(work, tmp_path), 2, Shown()) as run_all,
    ):
        run_all(["a breaks"])


def test_one_that_was_killed_while_idle_loses_nothing(tmp_path: Path) -> None:
    with in_workers(partial(work, tmp_path), 1, Shown()) as run_all:
        assert run_all(["a"]) == ["A"]
        os.kill(int((tmp_path / "a").read_text()), signal.SIGKILL)
        time.sleep(0.2)
        assert run_all(["b"]) == ["B"]


def test_what_a_dead_worker_began_is_shown_as_ended(tmp_path: Path) -> None:
    shown = Shown()
    with in_workers(partial(work, tmp_path), 1, shown) as run_all:
        run_all(["a dies"])
    assert shown.bars == [["a", 2, 0, "", True]]


COMMAND = """
import signal, sys
from functools import partial
from pathlib import Path
from pipelines.cli.signals import take_sigterm_as_ctrl_c
from pipelines.cli.workers import in_workers
from tests.cli.test_side_by_side import Shown, work

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    take_sigterm_as_ctrl_c()
    try:
        with in_workers(partial(work, Path(sys.argv[1])), 2, Shown()) as run_all:
            run_all(["a lasts and is slow", "b lasts and is slow", "c"])
    except KeyboardInterrupt as interrupt:
        print(interrupt)
"""


@pytest.fixture
def command(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process whose two workers are in the middle of something long."""
    script = tmp_path / "command.py"
    script.write_text(textwrap.dedent(COMMAND))
    words = [sys.executable, str(script), str(tmp_path)]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(CHECKOUT)}
    ) as process:
        try:
            for name in "ab":
                wait_for(tmp_path / name)
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_an_interrupt_reaches_all_and_no_other_is_begun(
    tmp_path: Path, command: subprocess.Popen[str], sign: signal.Signals
) -> None:
    command.send_signal(sign)
    out, _ = command.communicate(timeout=30)
    assert out.strip() in {"a stopped; b stopped", "b stopped; a stopped"}
    told = [(tmp_path / f"{name}-told").stat().st_mtime for name in "ab"]
    assert abs(told[0] - told[1]) < 1, "neither waits for the other to have ended"
    assert not (tmp_path / "c").exists()


def test_a_second_interrupt_waits_for_nobody(tmp_path: Path, command: subprocess.Popen[str]) -> None:
    command.send_signal(signal.SIGINT)
    for name in "ab":
        wait_for(tmp_path / f"{name}-told")
    command.send_signal(signal.SIGINT)
    command.communicate(timeout=30)
    assert not (tmp_path / "a-ended").exists()


def test_workers_end_with_the_command_that_began_them(tmp_path: Path, command: subprocess.Popen[str]) -> None:
    workers = [psutil.Process(int((tmp_path / name).read_text())) for name in "ab"]
    command.kill()
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert not alive
    assert (tmp_path / "a-ended").exists()
    assert (tmp_path / "b-ended").exists()
