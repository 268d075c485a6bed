"""What is said of few-step students, as plain data, and its file.  Imports no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from director_diffusion.evaluation.types import Effect, Finding, Metric, Verdict, effects_from
from director_diffusion.sampling.rows import Arm as ArmName
from director_diffusion.specs import StepCount

FEW_STEPS_FILE = "few_steps.json"
BESIDE: tuple[ArmName, ...] = ("base", "base_in_style", "adapter")
"""What students are set beside."""


@dataclass(frozen=True)
class Change:
    """A student's mean score less the full-step adapter's, with its interval over prompts."""

    metric: Metric
    student: float
    adapter: float
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class FewSteps:
    """What is said of the student that draws in `count` steps."""

    count: StepCount
    verdict: Verdict
    findings: tuple[Finding, ...]
    kept: Mapping[str, float]  # share of the adapter's effect on style, by base arm; absent where it has none
    changes: tuple[Change, ...]
    effects: tuple[Effect, ...]  # its own on style and on prompt fidelity, against the base arms

    def change(self, metric: Metric) -> Change:
        return next(one for one in self.changes if one.metric == metric)


def few_steps_from(data: Sequence[Mapping[str, Any]]) -> tuple[FewSteps, ...]:
    """The parsed content of `few_steps.json`."""
    return tuple(
        FewSteps(
            **{
                **one,
                "verdict": Verdict(one["verdict"]["outcome"], tuple(one["verdict"]["reasons"])),
                "findings": tuple(Finding(**finding) for finding in one["findings"]),
                "changes": tuple(Change(**change) for change in one["changes"]),
                "effects": effects_from(one),
            }
        )
        for one in data
    )
