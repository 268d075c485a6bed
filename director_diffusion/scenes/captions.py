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

_NUMBERS = ("no", "one", "two", "three", "four")
_GROUNDS = {"street": "on a street", "grass": "on grass", "sand": "on sand", "snow": "on snow", "hill": "on a hill"}
_TIMES = {"day": "by day", "dusk": "at dusk", "night": "at night"}
_SKIES = {"clear": "", "cloudy": " under a cloudy sky"}


def describe(scene: Scene) -> str:
    """Content only, such as "two red cars on a street before three houses at night, wide shot"."""
    behind = f" before {_say(scene.background)}" if scene.background else ""
    return (
        f"{_say(scene.subject)} {_GROUNDS[scene.ground]}{behind}{_SKIES[scene.sky]} {_TIMES[scene.time]}, "
        f"{scene.shot} shot"
    )


def vocabulary() -> tuple[str, ...]:
    """Every word that `describe` can use, sorted."""
    phrases = [*_NUMBERS[1:], *COLOURS, *TREE_COLOURS, *GROUNDS, *SKIES, *TIMES, *SHOTS, "a", "an", "before", "shot"]
    phrases += [*SUBJECTS, *BACKGROUNDS, *(_plural(kind) for kind in (*SUBJECTS, *BACKGROUNDS))]
    phrases += [*_GROUNDS.values(), *_SKIES.values(), *_TIMES.values()]
    return tuple(sorted({word for phrase in phrases for word in phrase.split()}))


def _say(things: Things) -> str:
    adjective = f"{things.colour} " if things.colour else ""
    if things.count == 1:
        article = "an" if (adjective or things.kind)[0] in "aeiou" else "a"
        return f"{article} {adjective}{things.kind}"
    return f"{_NUMBERS[things.count]} {adjective}{_plural(things.kind)}"


def _plural(kind: str) -> str:
    return f"{kind}s"
