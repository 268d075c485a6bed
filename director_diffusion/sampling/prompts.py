"""What each arm is asked for.

Belongs here: the words given to the model.  Imports no torch.
"""

from director_diffusion.captions.prompt import join_prompt
from director_diffusion.sampling.rows import Arm
from director_diffusion.specs import Director


def arm_prompt(arm: Arm, text: str, director: Director) -> str:
    """The full prompt of an arm for a plan's `text`.

    The base arms differ in whether the director is asked for by name; the adapter arm is prompted as it was trained.
    """
    if arm == "base":
        return text
    if arm == "base_in_style":
        return f"{text}, in the style of {director.name}"
    return join_prompt(director.trigger, text)
