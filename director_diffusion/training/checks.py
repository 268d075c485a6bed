"""Checks of an adapter: that its file is what was trained.  Imports no torch."""

import math

from director_diffusion.checks import Check
from director_diffusion.storage.artifact import CheckOutcome
from director_diffusion.training.rows import Reload, TrainingResult

RELOADS = Check(
    "adapter_reloads",
    "The adapter's file, loaded into the bare base as its users do, predicts what the trained model predicts.",
    blocking=True,
)
PICK_HOLDS = Check("pick_holds", "A person's pick, where there is one, is of this very training.", blocking=False)
CHECKS: tuple[Check, ...] = (RELOADS, PICK_HOLDS)

MAX_DIFFERENCE = 0.01  # of the adapter's effect: an adapter at another strength, or with a layer lost, is far above
MIN_EFFECT = 1e-6  # of the base's prediction: float32's own rounding


def judge(result: TrainingResult) -> list[CheckOutcome]:
    """The checks' answers, in the order of CHECKS."""
    return [judge_reload(result.reload), judge_pick(result)]


def judge_pick(result: TrainingResult) -> CheckOutcome:
    """Whether a person's pick could be used: it fails, and does not block, where the held-out loss chose instead."""
    if result.pick_unused:
        return PICK_HOLDS.outcome(False, result.pick_unused, step=result.chosen_step)
    return PICK_HOLDS.outcome(True, f"Step {result.chosen_step} was chosen by {result.chosen_by}.")


def judge_reload(reload: Reload) -> CheckOutcome:
    """Whether the file, loaded anew, predicts what was trained, and whether that changes anything at all."""
    numbers = {"base": reload.base, "effect": reload.effect, "difference": reload.difference}
    if not all(math.isfinite(value) for value in numbers.values()):
        return RELOADS.outcome(False, "Predictions are not finite.", **{k: str(v) for k, v in numbers.items()})
    if reload.effect <= MIN_EFFECT * reload.base:
        return RELOADS.outcome(False, "The adapter changes nothing in the base's prediction.", **numbers)
    share = reload.difference / reload.effect
    return RELOADS.outcome(
        share <= MAX_DIFFERENCE,
        f"Reloaded, it predicts the same up to {share:.2e} of its effect ({MAX_DIFFERENCE:g} allowed); "
        f"the effect is {reload.effect / reload.base:.2%} of the base's prediction.",
        **numbers,
    )
