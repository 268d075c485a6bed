"""Captions: a drawn scene in words.

Belongs here: the sentence that says a scene's content, and the words that such sentences are made of.
"""

from director_diffusion.scenes.scene import (
    BACKGROUNDS,
    COLOURS,
    GROUNDS,
    SHOTS,
    SKIES,
    SUBJECTS,
    TIMES,
    TREE_COLOURS,
    Scene,
    Things,
)

NUMBER_WORDS = ("no", "one", "two", "three", "four")
GROUND_WORDS = {"street": "on a street", "grass": "on grass", "sand": "on sand", "snow": "on snow", "hill": "on a hill"}
TIME_WORDS = {"day": "by day", "dusk": "at dusk", "night": "at night"}
_SKIES = {"clear": "", "cloudy": " under a cloudy sky"}


def describe(scene: Scene, *, time: bool = True, shot: bool = True) -> str:
    """Content only, such as "two red cars on a street before three houses at night, wide shot".

    Time of day and shot size are left out on request, as a director's file may ask.
    """
    behind = f" before {_say(scene.background)}" if scene.background else ""
    when = f" {TIME_WORDS[scene.time]}" if time else ""
    size = f", {scene.shot} shot" if shot else ""
    return f"{_say(scene.subject)} {GROUND_WORDS[scene.ground]}{behind}{_SKIES[scene.sky]}{when}{size}"


def vocabulary() -> tuple[str, ...]:
    """Every word that `describe` can use, sorted."""
    phrases = [
        *NUMBER_WORDS[1:],
        *COLOURS,
        *TREE_COLOURS,
        *GROUNDS,
        *SKIES,
        *TIMES,
        *SHOTS,
        "a",
        "an",
        "before",
        "shot",
    ]
    phrases += [*SUBJECTS, *BACKGROUNDS, *(plural(kind) for kind in (*SUBJECTS, *BACKGROUNDS))]
    phrases += [*GROUND_WORDS.values(), *_SKIES.values(), *TIME_WORDS.values()]
    return tuple(sorted({word for phrase in phrases for word in phrase.split()}))


def _say(things: Things) -> str:
    adjective = f"{things.colour} " if things.colour else ""
    if things.count == 1:
        article = "an" if (adjective or things.kind)[0] in "aeiou" else "a"
        return f"{article} {adjective}{things.kind}"
    return f"{NUMBER_WORDS[things.count]} {adjective}{plural(things.kind)}"


def plural(kind: str) -> str:
    return f"{kind}s"
