"""The loop: what was killed ends in the same bits, and what is handed out is the average."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from director_diffusion.errors import TrainingError
from director_diffusion.pretraining.checkpoint import snapshot_steps
from director_diffusion.pretraining.loop import train
from director_diffusion.pretraining.specs import PartTraining
from director_diffusion.progress import Silent

SETTINGS = PartTraining(
    steps=12, batch_size=8, lr=0.05, ema_decay=0.9, precision="float32", checkpoint_every=4, preview_every=5
)


class Killed(BaseException):
    """As good as a kill: nothing in the loop may catch it."""


class Slope:
    """A lesson that fits a slope to noisy points, through a layer that keeps statistics of its own."""

    def __init__(
        self, *, dies_at: int | None = None, broken_at: int | None = None, steep_at: int | None = None
    ) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.net = nn.Sequential(nn.Linear(1, 4), nn.BatchNorm1d(4), nn.Dropout(0.2), nn.Linear(4, 1))
        self.dies_at, self.broken_at, self.steep_at = dies_at, broken_at, steep_at

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        return {"net": self.net}

    def loss(self, step: int) -> Tensor:
        if step == self.dies_at:
            raise Killed
        x = torch.randn(8, 1)
        loss: Tensor = (self.net(x) - 3 * x).square().mean()
        if step == self.steep_at:  # finite itself, with a slope that is not: sqrt at 0
            loss = loss + (self.net[0].weight * 0).sqrt().sum()
        return loss * float("nan") if step == self.broken_at else loss

    def preview(self) -> Image.Image:
        torch.rand(())  # a preview may draw, which must not move the training
        return Image.new("L", (1, 1), int(self.net.training))


def learn(
    lesson: Slope, work: Path, settings: PartTraining = SETTINGS, show: Callable[..., None] | None = None
) -> None:
    train(
        lesson,
        settings,
        title="slope",
        seed=0,
        work=work,
        device="cpu",
        progress=Silent(),
        show=show or (lambda step, image: None),
    )


def state(lesson: Slope) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in lesson.net.state_dict().items()}


def equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("dies_at", [2, 4, 7, 11])
def test_what_was_killed_ends_in_the_same_bits(dies_at: int, tmp_path: Path) -> None:
    whole = Slope()
    learn(whole, tmp_path / "whole")
    with pytest.raises(Killed):
        learn(Slope(dies_at=dies_at), tmp_path / "cut")
    assert snapshot_steps(tmp_path / "cut") == list(range(4, dies_at + 1, 4))
    again = Slope()
    learn(again, tmp_path / "cut")
    assert equal(state(again), state(whole))


def test_a_damaged_snapshot_is_passed_over(tmp_path: Path) -> None:
    whole = Slope()
    learn(whole, tmp_path / "whole")
    with pytest.raises(Killed):
        learn(Slope(dies_at=10), tmp_path / "cut")
    newest = max((tmp_path / "cut").glob("step-*"))
    newest.write_bytes(newest.read_bytes()[:100])
    again = Slope()
    learn(again, tmp_path / "cut")
    assert equal(state(again), state(whole))


def test_a_finished_training_takes_no_further_step(tmp_path: Path) -> None:
    first = Slope()
    learn(first, tmp_path)
    again = Slope(dies_at=12)
    learn(again, tmp_path)
    assert equal(state(again), state(first))


def test_the_average_is_handed_out(tmp_path: Path) -> None:
    averaged, last = Slope(), Slope()
    learn(averaged, tmp_path / "averaged")
    learn(last, tmp_path / "last", SETTINGS.model_copy(update={"ema_decay": 0.0}))
    assert not torch.equal(averaged.net[0].weight, last.net[0].weight)
    assert not averaged.net.training


def test_previews_come_at_their_steps_and_change_nothing(tmp_path: Path) -> None:
    shown: list[tuple[int, int]] = []
    watched, alone = Slope(), Slope()
    learn(watched, tmp_path / "watched", show=lambda step, image: shown.append((step, image.getpixel((0, 0)))))
    learn(alone, tmp_path / "alone", SETTINGS.model_copy(update={"preview_every": 1000}))
    assert shown == [(5, 0), (10, 0), (12, 0)]
    assert equal(state(watched), state(alone))


def test_the_seed_decides_and_nobody_elses_numbers_move(tmp_path: Path) -> None:
    torch.manual_seed(5)
    one = Slope()
    learn(one, tmp_path / "one")
    drawn = torch.rand(())
    torch.manual_seed(5)
    assert torch.equal(torch.rand(()), drawn)
    torch.manual_seed(99)
    other = Slope()
    learn(other, tmp_path / "other")
    assert equal(state(one), state(other))


def test_a_loss_that_is_not_finite_stops_before_it_is_learnt(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"step 6.*loss of nan"):
        learn(Slope(broken_at=5), tmp_path)
    assert snapshot_steps(tmp_path) == [4]


def test_a_gradient_that_is_not_finite_stops_before_it_is_learnt(tmp_path: Path) -> None:
    lesson = Slope(steep_at=5)
    with pytest.raises(TrainingError, match=r"step 6.*gradient of (nan|inf)"):
        learn(lesson, tmp_path)
    assert all(tensor.isfinite().all() for tensor in state(lesson).values())


def test_only_the_newest_snapshots_are_kept(tmp_path: Path) -> None:
    learn(Slope(), tmp_path)
    assert snapshot_steps(tmp_path) == [8, 12]
