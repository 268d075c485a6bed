"""What the UI is told of few-step students: checks, facts and a table.  Imports no torch."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from director_diffusion.checks import Check
from director_diffusion.distillation.rows import steps_of
from director_diffusion.evaluation.difference import rows_of
from director_diffusion.markdown import table
from director_diffusion.storage import CheckOutcome

if TYPE_CHECKING:
    from director_diffusion.evaluation.few_steps_types import FewSteps

VERDICT = Check("students_verdict", "Every student keeps what the plan's margins ask.", blocking=False)
CHECKS = (VERDICT,)


def judge(students: "Sequence[FewSteps]") -> list[CheckOutcome]:
    """The verdicts as a check, which stock weights need not pass.  It blocks nothing."""
    told = [f"{_title(one)}: {one.verdict.outcome}. {'. '.join(one.verdict.reasons)}." for one in students]
    outcomes = {_title(one): one.verdict.outcome for one in students}
    passed = all(one.verdict.outcome == "pass" for one in students if one.of == "student")
    return [VERDICT.outcome(passed, " ".join(told), **outcomes)]


def facts_of(students: "Sequence[FewSteps]") -> dict[str, int | float | str]:
    """By name, in the order in which they are shown."""
    facts: dict[str, int | float | str] = {}
    for one in students:
        facts[f"{_title(one)}: verdict"] = one.verdict.outcome
        for against, share in one.kept.items():
            facts[f"{_title(one)}: share of the style effect against {against}"] = share
        facts[f"{_title(one)}: prompt fidelity beside the adapter"] = one.difference("prompt").mean
    return facts


def table_of(students: "Sequence[FewSteps]") -> str:
    """Markdown: a row for each student and metric."""
    rows = [[_title(one), *row] for one in students for row in rows_of(one.differences)]
    return table(["student", "mean of", "student", "adapter", "difference"], rows)


def _title(one: "FewSteps") -> str:
    return steps_of(one.count) if one.of == "student" else f"stock weights, {steps_of(one.count)}"
