"""Reading: what a caption says of a scene, attribute by attribute.

Belongs here: taking sentences such as `captions.describe` writes apart again, and comparing them with a scene.  Whoever
wrote them may have stammered: an attribute that is missing, or said in two ways, is read as None.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields

from director_diffusion.scenes.captions import GROUND_WORDS, NUMBER_WORDS, TIME_WORDS, plural
from director_diffusion.scenes.scene import COLOURS, SUBJECTS, TREE_COLOURS, Scene

_COUNTS: Mapping[str, tuple[str, ...]] = {
    "1": ("a", "an", "one"),
    **{str(number): (word,) for number, word in enumerate(NUMBER_WORDS) if number > 1},
}
_SUBJECT_ENDS = re.compile(r"\b(?:on|before|under|by|at)\b|,")  # what stands where, or when, comes after these


@dataclass(frozen=True)
class Reading:
    """The attributes that pictures are judged by.  None: not said, or not said clearly."""

    object: str | None
    colour: str | None
    count: str | None
    ground: str | None
    time: str | None


ATTRIBUTES = tuple(field.name for field in fields(Reading))


def read_caption(caption: str) -> Reading:
    """What a caption says."""
    text = " ".join(caption.lower().split())
    subject = _SUBJECT_ENDS.split(text)[0]
    return Reading(
        object=_only_one(subject, {kind: (kind, plural(kind)) for kind in SUBJECTS}),
        colour=_only_one(subject, {colour: (colour,) for colour in (*COLOURS, *TREE_COLOURS)}),
        count=_only_one(subject, _COUNTS),
        ground=_only_one(text, {ground: (words,) for ground, words in GROUND_WORDS.items()}),
        time=_only_one(text, {time: (words,) for time, words in TIME_WORDS.items()}),
    )


def read_scene(scene: Scene) -> Reading:
    """What a caption of a scene ought to say."""
    subject = scene.subject
    return Reading(subject.kind, subject.colour, str(subject.count), scene.ground, scene.time)


def rights(caption: str, scene: Scene) -> dict[str, bool]:
    """By attribute, whether a caption says what the scene is."""
    said, true = asdict(read_caption(caption)), asdict(read_scene(scene))
    return {name: said[name] == true[name] for name in ATTRIBUTES}


def share_right(pairs: Iterable[tuple[str, Scene]]) -> dict[str, float]:
    """By attribute, the share of captions that say what their scene is.  There must be at least one pair."""
    rows = [rights(caption, scene) for caption, scene in pairs]
    return {name: sum(row[name] for row in rows) / len(rows) for name in ATTRIBUTES}


def _only_one(text: str, phrases: Mapping[str, tuple[str, ...]]) -> str | None:
    found = [key for key, forms in phrases.items() if re.search(rf"\b(?:{'|'.join(forms)})\b", text)]
    return found[0] if len(found) == 1 else None
