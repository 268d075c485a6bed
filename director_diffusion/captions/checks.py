"""Checks of captions: are there enough that training can use?

Belongs here: the questions and their answers.  Whether a single caption will do is `quality`'s to say.
"""

from collections import Counter
from collections.abc import Sequence

from director_diffusion.captions.rows import Caption
from director_diffusion.checks import Check
from director_diffusion.specs import Director
from director_diffusion.storage.artifact import CheckOutcome

USABLE_SHARE = 0.8  # below it, a set trains on the bare trigger more often than caption dropout ever would

CAPTIONS_USABLE = Check(
    "captions_usable",
    f"At least {USABLE_SHARE:.0%} of the stills have a caption that passed the rules.",
    blocking=False,
)
ENOUGH_CAPTIONED = Check(
    "enough_captioned", "The captioned share reaches the director's `min_captioned`, where that is set.", blocking=True
)
CHECKS = (CAPTIONS_USABLE, ENOUGH_CAPTIONED)


def judge(captions: Sequence[Caption], director: Director) -> list[CheckOutcome]:
    """The answers, with counts by source and by rule."""
    usable = sum(caption.status == "ok" for caption in captions)
    share = usable / len(captions) if captions else 0.0
    counts = {
        "stills": len(captions),
        "captioned": usable,
        "share": round(share, 4),
        "by_source": dict(Counter(caption.source for caption in captions)),
        "problems": dict(
            Counter(problem.split(":")[0] for caption in captions for problem in caption.problems).most_common()
        ),
    }
    said = f"{usable} of {len(captions)} stills have a usable caption"
    way_out = "; write a .txt file beside each still that needs a person" if usable < len(captions) else ""
    least = director.min_captioned
    enough = least is None or share >= least
    if least is None:
        demand = f"{said}; {director.slug} sets no min_captioned, so nothing is blocked."
    else:
        lower = "" if enough else f"{way_out}, or lower min_captioned in the director's file"
        demand = f"{said}, {share:.0%} of at least {least:.0%}{lower}."
    return [
        CAPTIONS_USABLE.outcome(share >= USABLE_SHARE, f"{said}{way_out}.", **counts),
        ENOUGH_CAPTIONED.outcome(enough, demand, **counts),
    ]
