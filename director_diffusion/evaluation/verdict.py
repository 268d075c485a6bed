"""Verdict: what the plan's margins make of the effects.

Belongs here: the decision rule, as a pure function of effects and margins.
"""

from collections.abc import Iterable
from typing import Literal

from director_diffusion.evaluation.types import Effect, Verdict
from director_diffusion.specs import Margins

Outcome = Literal["pass", "fail", "undecided"]

_NAMES = {
    "style": "style closeness",
    "prompt": "prompt fidelity",
    "base": "the base",
    "base_in_style": "the base asked for the style by name",
}


def decide(effects: Iterable[Effect], margins: Margins) -> Verdict:
    """Pass when every effect's interval lies above its bound, fail when one lies wholly at or below it, else undecided.

    Style closeness must be superior (bound `margins.style`) and prompt fidelity not inferior (bound −`margins.prompt`),
    each against both other arms: against the base, which usually follows prompts best since it is asked for no style,
    and against the base asked by name, which is what people would use without an adapter.  As all bounds must be
    cleared together, passing by chance is no likelier than clearing a single one by chance: an intersection-union test
    (Berger 1982) needs no correction for multiplicity.
    """
    judged = [_judge(effect, margins) for effect in effects]
    outcomes = {outcome for outcome, _ in judged}
    outcome: Outcome = "fail" if "fail" in outcomes else "undecided" if "undecided" in outcomes else "pass"
    return Verdict(outcome=outcome, reasons=tuple(reason for _, reason in judged))


def lower_bound(metric: str, margins: Margins) -> float:
    """What an effect's interval must lie above."""
    return margins.style if metric == "style" else 0.0 - margins.prompt


def _judge(effect: Effect, margins: Margins) -> tuple[Outcome, str]:
    bound = lower_bound(effect.metric, margins)
    outcome: Outcome
    if effect.low > bound:
        outcome, words = "pass", "lies above"
    elif effect.high <= bound:
        outcome, words = "fail", "lies wholly at or below"
    else:
        outcome, words = "undecided", "reaches across"
    question = "superior" if effect.metric == "style" else "not inferior"
    reason = (
        f"{outcome}: {_NAMES[effect.metric]} against {_NAMES[effect.against]} is {effect.mean:+.4f}; its "
        f"{effect.confidence:.0%} interval [{effect.low:+.4f}, {effect.high:+.4f}] over {effect.n} prompts {words} the "
        f"bound {bound:+.4f} for {question}"
    )
    return outcome, reason
