"""Checks of an evaluation.  Imports no torch."""

from director_diffusion.checks import Check
from director_diffusion.evaluation.types import Evaluation
from director_diffusion.storage import CheckOutcome

VERDICT = Check(
    name="verdict",
    description="Closer to the director's held-out stills, and following prompts no worse, by the plan's margins.",
    blocking=False,
)
CHECKS = (VERDICT,)


def judge(evaluation: Evaluation) -> list[CheckOutcome]:
    """The verdict as a check.  It blocks nothing: what is withheld and why is told by the publication."""
    verdict = evaluation.verdict
    metadata = {
        f"{effect.metric}_against_{effect.against}": f"{effect.mean:+.4f} [{effect.low:+.4f}, {effect.high:+.4f}]"
        for effect in evaluation.effects
    }
    description = f"{verdict.outcome}. " + "; ".join(verdict.reasons) + "."
    return [VERDICT.outcome(verdict.outcome == "pass", description, outcome=verdict.outcome, **metadata)]
