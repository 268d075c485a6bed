"""Checks of an evaluation: the verdict, and each of its questions.  Imports no torch."""

from collections.abc import Callable

from director_diffusion.checks import Check
from director_diffusion.evaluation.told import NEARER, reasons, telling
from director_diffusion.evaluation.types import Evaluation, Finding
from director_diffusion.storage import CheckOutcome

VERDICT = Check(
    name="verdict",
    description="Every question below holds by the plan's margins; what is undecided or fails is not published.",
    blocking=False,
)
NO_REGRESSION = Check("no_regression", "No worse than the version published before.", blocking=False)
QUESTIONS: dict[Check, Callable[[Finding], bool]] = {
    Check("style", "Closer to the director's held-out stills than both base arms.", blocking=False): lambda one: (
        one.name.removeprefix("released_") in ("style_base", "style_base_in_style")
    ),
    Check("prompt", "Follows prompts no worse than both base arms.", blocking=False): lambda one: (
        one.name in ("prompt_base", "prompt_base_in_style")
    ),
    Check("memorisation", "Draws no training stills again.", blocking=False): lambda one: one.name == "memorised",
    Check("diversity", "Draws pictures as unlike each other as the base does.", blocking=False): lambda one: (
        one.name == "diversity"
    ),
    Check("own_style", "Nearer to this director's held-out stills than to others'.", blocking=False): lambda one: (
        one.name.startswith(NEARER)
    ),
    NO_REGRESSION: lambda one: one.name.endswith("_published"),
}
CHECKS = (VERDICT, *QUESTIONS)


def judge(evaluation: Evaluation) -> list[CheckOutcome]:
    """The verdict and its parts as checks.  They block nothing: what is withheld and why is told by the publication."""
    verdict = evaluation.verdict
    told = [f"{verdict.outcome}.", *(f"{reason}." for reason in verdict.reasons), *evaluation.notes]
    return [
        VERDICT.outcome(verdict.outcome == "pass", " ".join(told), outcome=verdict.outcome, tier=evaluation.tier),
        *(
            _part(check, [one for one in evaluation.findings if asks(one)], evaluation.lacking.get(check.name, ""))
            for check, asks in QUESTIONS.items()
        ),
    ]


def _part(check: Check, findings: list[Finding], lacking: str) -> CheckOutcome:
    if lacking:
        return check.outcome(False, f"undecided: {lacking}.")
    if not findings:
        return check.outcome(True, "Not asked: there was nothing, or not enough, to compare with.")
    intervals = {one.name: f"{one.value:+.4f} [{one.low:+.4f}, {one.high:+.4f}]" for one in telling(findings)}
    passed = all(one.outcome == "pass" for one in findings)
    return check.outcome(passed, "; ".join(reasons(findings)) + ".", **intervals)
