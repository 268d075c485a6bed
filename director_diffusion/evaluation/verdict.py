"""Verdict: what claims come to, together.

Belongs here: the decision rule, as a pure function of claims.  Which claims are made is `claims`' matter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from director_diffusion.evaluation.statistics.holm import holm
from director_diffusion.evaluation.statistics.interval import Interval
from director_diffusion.evaluation.told import reasons
from director_diffusion.evaluation.types import Finding, Outcome, Verdict

Kind = Literal["superiority", "non-inferiority", "limit", "nearest"]


class Test(Protocol):
    """A value with its uncertainty: `MeanTest` or `ShareTest`."""

    @property
    def mean(self) -> float: ...

    def interval(self, confidence: float) -> Interval: ...

    def p_above(self, bound: float) -> float: ...

    def p_below(self, bound: float) -> float: ...


@dataclass(frozen=True)
class Claim:
    """That a value lies above (or below) a bound."""

    name: str
    words: str  # what the value is
    kind: Kind
    test: Test
    bound: float
    above: bool = True
    shown: bool = True  # whether it must be shown; else it holds unless it is refuted, if the value itself is right

    @property
    def p_holds(self) -> float:
        """Small where the data speak for the claim."""
        return self.test.p_above(self.bound) if self.above else self.test.p_below(self.bound)

    @property
    def p_fails(self) -> float:
        """Small where they speak against it."""
        return self.test.p_below(self.bound) if self.above else self.test.p_above(self.bound)


def judge(claims: Sequence[Claim], confidence: float) -> tuple[Finding, ...]:
    """The answer to each claim, at α = (1 − confidence) / 2 on either side.

    Each answer is told and read by itself, so p-values are corrected for their number (Holm 1979), those for the claims
    and those against them each as one family.
    """
    alpha = (1 - confidence) / 2
    shown = [claim for claim in claims if claim.shown]
    holds = dict(zip((claim.name for claim in shown), holm([claim.p_holds for claim in shown]), strict=True))
    fails = dict(zip((claim.name for claim in claims), holm([claim.p_fails for claim in claims]), strict=True))
    return tuple(_answer(claim, holds.get(claim.name), fails[claim.name], alpha, confidence) for claim in claims)


def decide(findings: Sequence[Finding], lacking: Sequence[str] = ()) -> Verdict:
    """Fail where a claim is refuted, pass where all hold and nothing that should be known is `lacking`, else undecided.

    As all must hold together, passing by chance is no likelier than that a false claim that must be shown holds by
    chance (an intersection-union test, Berger 1982).  Claims that need not be shown are a screen beside them: they stop
    what they refute, and promise nothing.
    """
    outcomes = {finding.outcome for finding in findings} | ({"undecided"} if lacking else set())
    outcome: Outcome = "fail" if "fail" in outcomes else "undecided" if "undecided" in outcomes else "pass"
    return Verdict(outcome=outcome, reasons=(*reasons(findings), *(f"undecided: {why}" for why in lacking)))


def _answer(claim: Claim, holds: float | None, fails: float, alpha: float, confidence: float) -> Finding:
    right = claim.test.mean > claim.bound if claim.above else claim.test.mean < claim.bound
    outcome: Outcome
    if fails <= alpha:
        outcome, p = "fail", fails
    elif holds is None:
        outcome, p = ("pass" if right else "undecided"), fails
    else:
        outcome, p = ("pass" if holds <= alpha else "undecided"), holds
    interval = claim.test.interval(confidence)
    side, question = "above" if claim.above else "below", _QUESTIONS[claim.kind]
    evidence = f"{'against it ' if outcome == 'fail' or holds is None else ''}p = {p:.2g} after Holm"
    reason = (
        f"{outcome}: {claim.words} is {interval.mean:+.4f}, {confidence:.0%} interval [{interval.low:+.4f}, "
        f"{interval.high:+.4f}] over {interval.n} prompts, {question} {side} {claim.bound:+.4f} ({evidence})"
    )
    return Finding(claim.name, outcome, reason, interval.mean, interval.low, interval.high, claim.bound, claim.above, p)


_QUESTIONS: dict[Kind, str] = {
    "superiority": "to be superior it must lie",
    "non-inferiority": "to be not inferior it must lie",
    "limit": "to keep the limit it must lie",
    "nearest": "to be nearest it must lie",
}
