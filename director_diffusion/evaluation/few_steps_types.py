"""What is said of few-step students, as plain data, and its file.  Imports no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from director_diffusion.evaluation.difference import Difference
from director_diffusion.evaluation.types import Effect, Finding, Metric, Verdict, effects_from
from director_diffusion.sampling.rows import Arm as ArmName
from director_diffusion.specs import StepCount

FEW_STEPS_FILE = "few_steps.json"
BESIDE: tuple[ArmName, ...] = ("base", "base_in_style", "adapter")
"""What students are set beside."""


@dataclass(frozen=True)
class FewSteps:
    """What is said of what draws in `count` steps."""

    count: StepCount
    verdict: Verdict
    findings: tuple[Finding, ...]
    kept: Mapping[str, float]  # share of the adapter's effect on style, by base arm; none of one that is not shown
    differences: tuple[Difference, ...]  # to the adapter in all its steps
    effects: tuple[Effect, ...]  # its own on style and on prompt fidelity, against the base arms
    of: Literal["student", "stock"] = "student"  # of the adapter, or others' weights on top of it

    def difference(self, metric: Metric) -> Difference:
        return next(one for one in self.differences if one.metric == metric)


def few_steps_from(data: Sequence[Mapping[str, Any]]) -> tuple[FewSteps, ...]:
    """The parsed content of `few_steps.json`."""
    return tuple(
        FewSteps(
            **{
                **one,
                "verdict": Verdict(one["verdict"]["outcome"], tuple(one["verdict"]["reasons"])),
                "findings": tuple(Finding(**finding) for finding in one["findings"]),
                "differences": tuple(Difference(**difference) for difference in one["differences"]),
                "effects": effects_from(one),
            }
        )
        for one in data
    )
