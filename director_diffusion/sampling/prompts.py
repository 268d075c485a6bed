"""What each arm is asked for.

Belongs here: the words given to the model, and the noise they start from.  Imports no torch.
"""

from collections.abc import Sequence

from director_diffusion.captions.prompt import join_prompt
from director_diffusion.hashing import hash_data
from director_diffusion.sampling.rows import ARMS, FOLD_ARMS, Arm, Sample
from director_diffusion.specs import Director, EvaluationPlan, Tier

CANARY_PICTURES = 4


def arms_asked(plan: EvaluationPlan) -> tuple[Arm, ...]:
    """The arms that a plan asks for, in the order of their rows."""
    return ARMS if plan.folds == 1 else (*ARMS, *FOLD_ARMS)


def arm_prompt(arm: Arm, text: str, director: Director) -> str:
    """The full prompt of an arm for a plan's `text`.

    The base arms differ in whether the director is asked for by name; those with an adapter are prompted as it was
    trained.
    """
    if arm == "base":
        return text
    if arm == "base_in_style":
        return f"{text}, in the style of {director.name}"
    return join_prompt(director.trigger, text)


def noise_seed(text: str, seed: int) -> int:
    """The seed of the noise that a plan's prompt `text` starts from in every arm, by one of the plan's seeds; 32 bits.

    Each prompt has its own.  Were one noise shared by all prompts, what it does to all of them alike would look like an
    effect: an interval over prompts does not see what they have in common.
    """
    return int(hash_data({"prompt": text, "seed": seed})[:8], 16)


def sung(plan: EvaluationPlan) -> tuple[tuple[str, int], ...]:
    """What a canary draws: the plan's first prompts without a trigger, with the noise of its first seed."""
    return tuple((prompt.text, noise_seed(prompt.text, plan.seeds[0])) for prompt in plan.prompts[:CANARY_PICTURES])


def seeds_drawn(samples: Sequence[Sample], plan: EvaluationPlan, tier: Tier) -> tuple[int, ...]:
    """The plan's seeds that a tier's samples were drawn from: fewer where a draft's verdict left nothing to release."""
    draft = len(arms_asked(plan)) * len(plan.prompts) * len(plan.seeds)
    return plan.seeds if len(samples) == draft else plan.seeds_of(tier)
