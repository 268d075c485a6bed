"""Drawing shared by two processes: the same pictures, and none lost where one of them dies."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from director_diffusion import crew
from director_diffusion.errors import EvaluationError
from director_diffusion.progress import Silent
from director_diffusion.sampling.draw import draw_samples
from director_diffusion.sampling.rows import Sample
from director_diffusion.sampling.wearing import ArmAdapter
from director_diffusion.storage import Store
from tests.sampling.test_draw_samples import BASE, director, plan
from tests.tiny_project import CHILDREN

pytestmark = pytest.mark.xdist_group("children")

Draw = Callable[..., list[Sample]]
PLAN = plan(seeds=(0, 1), batch_size=2)  # twelve batches in three arms


@pytest.fixture(autouse=True)
def quick_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "CONTEXT", CHILDREN)


@pytest.fixture
def draw(mini_base: Path, make_adapter: Callable[..., Path], tmp_path: Path) -> Draw:
    """`draw(name)` into a store of that name."""
    worn = ArmAdapter(make_adapter(), "an adapter")

    def run(name: str, **changes: Any) -> list[Sample]:
        settings = {
            "adapters": {"adapter": worn},
            "seeds": PLAN.seeds,
            "base_fingerprint": "mini",
            "store": Store(str(tmp_path / name)),
            "device": "cpu",
            "out": tmp_path / name / "out",
            "progress": Silent(),
        } | changes
        settings["out"].mkdir(parents=True, exist_ok=True)
        return draw_samples(PLAN, BASE, director(), mini_base, **settings).samples

    return run


def pictures(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in (folder / "cache").rglob("*.png")}


class Seen(Silent):
    """Keeps what is told."""

    def __init__(self) -> None:
        self.totals, self.done = list[int](), 0

    def task(self, title: str, total: int):  # type: ignore[no-untyped-def]
        self.totals.append(total)
        return super().task(title, total)

    def advance(self, steps: int = 1, note: str = "") -> None:
        self.done += steps


def test_two_draw_what_one_draws_to_the_byte(draw: Draw, make_adapter: Callable[..., Path], tmp_path: Path) -> None:
    """With a student on top of the adapter too."""
    full = ArmAdapter(make_adapter(), "an adapter")
    adapters = {"adapter": full, "turbo_2": ArmAdapter(make_adapter(seed=1), "a student", full)}
    seen = Seen()
    one = draw("one", adapters=adapters)
    two = draw("two", adapters=adapters, processes=2, progress=seen)
    assert one == two
    assert pictures(tmp_path / "one") == pictures(tmp_path / "two")
    assert len(pictures(tmp_path / "one")) == len(one) == 4 * 4 * 2
    assert (tmp_path / "one/out/samples.parquet").read_bytes() == (tmp_path / "two/out/samples.parquet").read_bytes()
    assert (seen.totals, seen.done) == ([len(one)], len(one)), "one bar, whoever draws"


def test_what_is_drawn_stays_where_one_is_killed(draw: Draw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start, pids = crew._start, list[int]()

    def noting(*arguments: Any) -> crew._Worker:
        worker = start(*arguments)
        pids.append(worker.process.pid or 0)
        return worker

    class KillsTheSecond(Silent):
        killed = False

        def advance(self, steps: int = 1, note: str = "") -> None:
            if steps and pids and not self.killed:
                os.kill(pids[1], signal.SIGKILL)
                self.killed = True

    with monkeypatch.context() as patch:
        patch.setattr(crew, "_start", noting)
        said = "process 2 of 2 of the drawing of samples: ended with exit code -9. Run it again: all that was drawn is"
        with pytest.raises(EvaluationError, match=said):
            draw("two", processes=2, progress=KillsTheSecond())
    kept = pictures(tmp_path / "two")
    assert kept
    two, whole = draw("two", processes=2), pictures(tmp_path / "two")
    assert kept.items() <= whole.items()
    assert draw("one") == two
    assert whole == pictures(tmp_path / "one")


def test_no_more_processes_than_there_is_to_draw(draw: Draw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, counts = draw("one"), list[int]()
    monkeypatch.setattr(crew.Crew, "run", lambda self, *arguments: counts.append(self.count) or [])
    assert draw("one", processes=9) == whole
    (tmp_path / "one" / whole[0].reference).unlink()
    assert draw("one", processes=9) == whole
    assert counts == [], "nothing was missing, then one batch"


def test_an_error_of_one_is_told_as_it_is(draw: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine's GPUs may be of two kinds, whose pictures must not be mixed."""
    monkeypatch.setattr("director_diffusion.sampling.draw.drawn_by", lambda device: f"{device} of another kind")
    with pytest.raises(EvaluationError, match=r"would draw by cpu .*, the first by cpu of another kind: pictures that"):
        draw("two", processes=2)
