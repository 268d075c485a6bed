"""The decision: whether an adapter may go out.

Belongs here: that one question and its answer, for publications and releases alike.  Where it goes, and how, is not.
"""

from director_diffusion.evaluation.types import Verdict
from director_diffusion.publishing.sign_offs import SHOWN, SignOff


def reason_to_withhold(verdict: Verdict, sign_off: SignOff | None, adapter_version: str) -> str:
    """Why an adapter stays, in a sentence; "" where it may go out.

    It may where its verdict passes, or where a person has signed off this very adapter version.
    """
    if verdict.outcome == "pass":
        return ""
    if sign_off is not None and sign_off.act == "signed off" and sign_off.adapter_version == adapter_version:
        return ""
    found = "; ".join(reason for reason in verdict.reasons if not reason.startswith("pass"))
    other = "" if sign_off is None else f" The sign-off of {sign_off.who} is not for {adapter_version[:SHOWN]}."
    return f"The verdict is {verdict.outcome} ({found}).{other}"
