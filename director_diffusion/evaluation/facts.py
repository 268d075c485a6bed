"""Facts: the numbers of an evaluation that the UI shows, and plots over re-evaluations.

Belongs here: names and values.  The names stay the same, since a plot over time goes by them.
"""

from director_diffusion.evaluation.types import Evaluation, OtherArm


def facts_of(evaluation: Evaluation) -> dict[str, int | float | str]:
    """By name, in the order in which they are shown."""
    facts: dict[str, int | float | str] = {"verdict": evaluation.verdict.outcome}
    arms: tuple[tuple[str, OtherArm], ...] = (("style", "base_in_style"), ("prompt", "base"))
    for name, against in arms:
        effect = evaluation.effect(evaluation.style if name == "style" else "prompt", against)
        facts |= {
            f"{name} effect": effect.mean,
            f"{name} effect, low": effect.low,
            f"{name} effect, high": effect.high,
            f"{name} effect that would be found": effect.detectable,
        }
        if effect.detectable_over_stills is not None:
            facts[f"{name} effect that would be found over stills too"] = effect.detectable_over_stills
    adapter, base = evaluation.arms["adapter"], evaluation.arms["base"]
    facts |= {
        "CMMD to held-out stills": adapter.cmmd,
        "CMMD of the base": base.cmmd,
        "Vendi score": adapter.vendi,
        "Vendi score of the base": base.vendi,
        "nearest training still": evaluation.memorisation.nearest,
        "pictures too near a training still": evaluation.memorisation.share,
        "prompts": evaluation.prompts,
        "seeds": len(evaluation.seeds),
        "held-out stills": evaluation.held_out,
    }
    return facts
