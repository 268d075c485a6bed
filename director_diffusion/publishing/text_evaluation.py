"""What a card says of measurements: effects with their intervals, second voices, pictures taken together.

Belongs here: tables of numbers, and which of them a verdict does not go by.
"""

from typing import TYPE_CHECKING

from director_diffusion.evaluation.claims import NAMES
from director_diffusion.evaluation.metrics.distribution import WHY_NOT_FID
from director_diffusion.evaluation.types import DISTANCES, METRIC_NAMES, Effect, Metric
from director_diffusion.markdown import table
from director_diffusion.publishing.inputs import CardInputs
from director_diffusion.publishing.metadata import PART_NAMES, judged_effects
from director_diffusion.sampling.rows import ARMS, FOLD_ARMS, Arm

if TYPE_CHECKING:
    from director_diffusion.publishing.files import Files

_INTERVALS = {
    "studentised": "a studentised bootstrap over prompts, seeds within them",
    "student_t": "Student's t over prompts, nearly all of which came out equal",
    "point": "prompts that all came out equal",
}
_ARMS: dict[Arm, str] = {
    "base": NAMES["base"],
    "base_in_style": NAMES["base_in_style"],
    "adapter": "the adapter",
    "first_fold": "the first fold's adapter",
    "second_fold": "the second fold's adapter",
}
_VOICES: dict[Metric, str] = {
    "clip": "another encoder's view of the same",
    "encoder": "another encoder's view of the same",
    "projection": "a projection of CLIP meant to see style rather than content",
    "question": "a vision-language model asked whether the picture shows its prompt; above 0 is more often yes",
    "aesthetic": "a head on CLIP that learned what raters liked: their taste, not the director's",
    "colour": "how far CIELAB histograms lie from the held-out stills', in ΔE",
    "luma": "how far mean brightness lies from theirs",
    "contrast": "how far the spread of brightness lies from theirs",
    "framing": "how far the places of edges lie from theirs",
}


def evaluation_section(card: CardInputs, files: "Files") -> str:
    """Markdown: effects with their intervals, other encoders' voices, copies of stills, confusion of directors."""
    parts = [
        _effects(card, files.effects),
        _second_voices(card),
        _together(card),
        _memorisation(card),
        _confusion(files.confusion),
    ]
    return "\n\n".join(part for part in parts if part)


def _effects(card: CardInputs, file: str) -> str:
    judged = judged_effects(card)
    intervals = " and from ".join(_INTERVALS[kind] for kind in sorted({effect.interval for effect in judged}))
    rows = [
        [
            METRIC_NAMES[effect.metric],
            NAMES[effect.against],
            PART_NAMES[effect.part],
            _estimate(effect),
            f"{effect.n} × {effect.seeds}",
            f"{effect.detectable:.3f}",
            "–" if effect.detectable_over_stills is None else f"{effect.detectable_over_stills:.3f}",
        ]
        for effect in judged
    ]
    titles = (
        "what", "adapter minus", "prompts", f"effect ({card.plan.confidence:.0%} interval)", "prompts × seeds",
        "would be found", "over stills too",
    )  # fmt: skip
    return f"""## Effects

![Forest plot of all effects: the adapter minus each other arm, with intervals and bounds]({file})

Dashed lines are the verdict's bounds. An effect is the mean difference between the adapter's pictures and another
arm's, paired by prompt and noise; style closeness and prompt fidelity are cosines.

{table(titles, rows)}

Intervals come from {intervals}: they speak of prompts like these, with these held-out stills. *Would be found* is
the smallest effect that such a comparison tells from none in four of five trials; *over stills too* counts that other
stills of the director might have been held out. Scores of each picture are in `scores.csv`."""


def _estimate(effect: Effect) -> str:
    return f"{effect.mean:+.3f} ({effect.low:+.3f} to {effect.high:+.3f})"


def _second_voices(card: CardInputs) -> str:
    judged = (card.evaluation.style, "prompt")
    voices = [effect for effect in card.evaluation.effects if effect.metric not in judged and effect.part == "all"]
    if not voices:
        return ""
    arms = list(dict.fromkeys(effect.against for effect in voices))
    found = {(effect.metric, effect.against): effect for effect in voices}
    rows = [
        [
            METRIC_NAMES[metric],
            _VOICES[metric] + (" (below 0 is nearer)" if metric in DISTANCES else ""),
            *(_estimate(found[metric, arm]) if (metric, arm) in found else "–" for arm in arms),
        ]
        for metric in dict.fromkeys(effect.metric for effect in voices)
    ]
    return f"""### Second voices

The verdict does not go by these; each is named for what it measures. Over all prompts; `evaluation.json` has them for
own and novel ones apart:

{table(["what", "which is", *(f"minus {NAMES[arm]}" for arm in arms)], rows)}"""


def _together(card: CardInputs) -> str:
    arms = card.evaluation.arms
    rows = [
        [
            _ARMS[arm],
            f"{arms[arm].cmmd:.3f}",
            f"{arms[arm].vendi:.2f}",
            f"{arms[arm].distance:.4f}",
        ]
        for arm in (*ARMS, *FOLD_ARMS)
        if arm in arms
    ]
    return f"""### All pictures of an arm together

{table(["pictures of", "CMMD to held-out stills", "Vendi score", "mean distance"], rows)}

CMMD (× 1000, unbiased; less is nearer) compares the distributions of {card.evaluation.held_out} held-out stills and
of an arm's pictures, whose subjects differ: it is to be compared between arms. {WHY_NOT_FID} The Vendi
score is the effective number of different pictures; the mean distance is that between pictures of one prompt, or of
all prompts where there is one seed."""


def _memorisation(card: CardInputs) -> str:
    memory = card.evaluation.memorisation
    return f"""### Memorisation

Of the adapter's pictures {memory.share:.1%} lie nearer to a training still than 99 % of training stills lie to each
other (cosine {memory.threshold:.3f} by the {card.plan.memorised_by}); of held-out stills, which {_unable(card)}
have copied, {memory.chance:.1%} do. The nearest picture reaches {memory.nearest:.3f}. A copy that is mirrored, cropped
or recoloured may escape this look."""


def _unable(card: CardInputs) -> str:
    return "their fold's adapter cannot" if card.folds else "nothing can"


def _confusion(file: str) -> str:
    if not file:
        return ""
    return f"""### Whose stills are nearest

![Confusion matrix: mean cosine of each arm's pictures to each director's held-out stills]({file})

Pictures of the base, of the base asked for the style by name and of the adapter (rows), beside the held-out stills of
every director of the project (columns); the nearest of each row is bold."""
