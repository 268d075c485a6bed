"""Optimizers: a state that is taken apart, written and put together again goes on as if nothing had happened.

That of 8-bit AdamW is in tests/quantised.
"""

from collections.abc import Callable

import pytest
import torch

from director_diffusion.specs import AdamW, Optimizer, Prodigy
from director_diffusion.training.optimizers import build_optimizer, restore_state, state_tensors
from director_diffusion.training.rows import TrainingResult
from director_diffusion.training.schedule import learning_rate
from director_diffusion.training.stopping import TrainingStopped
from tests.training.children import stop_after
from tests.training.optimizing import assert_goes_on, learn, weights, written_and_read
from tests.training.trainings import RECIPE, varied


@pytest.mark.parametrize("spec", [AdamW(lr=0.01), Prodigy(kind="prodigy", growth=1.5)], ids=lambda spec: spec.kind)
def test_a_restored_optimizer_goes_on_to_the_same_bits(spec: Optimizer) -> None:
    assert_goes_on(spec)


def test_prodigys_own_step_size_is_restored() -> None:
    """It has grown by far, and lies in the group, not with the weights."""
    spec = Prodigy(kind="prodigy", growth=2.0)
    parameters = weights()
    optimizer = build_optimizer(parameters, spec)
    learn(parameters, optimizer, range(60))
    (group,) = optimizer.param_groups
    assert group["d"] > 10 * spec.first_size
    again = build_optimizer(weights(), spec)
    restore_state(again, written_and_read(state_tensors(optimizer)))
    (restored,) = again.param_groups
    assert {name: value for name, value in restored.items() if name != "params"} == {
        name: value for name, value in group.items() if name != "params"
    }


def test_prodigy_says_nothing_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    """Which may be a command's JSON."""
    build_optimizer(weights(), Prodigy(kind="prodigy"))
    assert capsys.readouterr().out == ""


def test_a_training_has_the_recipes_steps_each_at_the_schedules_rate(
    train: Callable[..., TrainingResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many batches a step has, and wherever the training was stopped."""
    rates: list[float] = []
    step = torch.optim.AdamW.step

    def counting(self: torch.optim.AdamW, *arguments: object) -> object:
        rates.append(self.param_groups[0]["lr"])
        return step(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(torch.optim.AdamW, "step", counting)
    recipe = varied(RECIPE, gradient_accumulation=3, schedule={"kind": "cosine", "warmup_steps": 2})
    with pytest.raises(TrainingStopped):
        train(recipe, stop=stop_after(3))
    train(recipe)
    expected = [learning_rate(number, recipe.schedule, steps=7, peak=recipe.optimizer.lr) for number in range(7)]
    assert rates == expected
    assert rates[:2] == [0.005, 0.01]
