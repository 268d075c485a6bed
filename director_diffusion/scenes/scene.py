"""Scene: what a drawn picture contains, and sampling it.

Belongs here: content only.  How it looks is `style`'s, how it is said is `captions`', how it gets on paper `drawing`'s.
"""

from dataclasses import dataclass

from numpy.random import Generator

SUBJECTS = ("car", "house", "tower", "tree", "figure")
COLOURS = ("red", "blue", "yellow", "white", "black", "green", "orange", "brown")
TREE_COLOURS = ("green", "yellow", "orange", "red")
GROUNDS = ("street", "grass", "sand", "snow", "hill")
BACKGROUNDS = ("house", "tower", "tree", "mountain")
TIMES = ("day", "dusk", "night")
SKIES = ("clear", "cloudy")
SHOTS = ("wide", "medium", "close")

MOST_SUBJECTS = {"wide": 4, "medium": 3, "close": 2}
"""How many subjects a shot size has room for."""


@dataclass(frozen=True)
class Things:
    """Some things of one kind."""

    kind: str
    count: int
    colour: str | None = None


@dataclass(frozen=True)
class Scene:
    """Everything that a caption may tell of a picture, and nothing else."""

    subject: Things
    ground: str
    background: Things | None
    time: str
    sky: str
    shot: str


def sample_scene(rng: Generator) -> Scene:
    """A scene at random; as many equal calls on equally seeded generators give equal scenes."""
    shot = str(rng.choice(SHOTS, p=(0.45, 0.35, 0.2)))
    kind = str(rng.choice(SUBJECTS))
    subject = Things(kind, int(rng.integers(1, MOST_SUBJECTS[shot] + 1)), _colour(kind, rng))
    background = None
    if rng.random() < 0.6:
        behind = str(rng.choice([other for other in BACKGROUNDS if other != kind]))
        background = Things(behind, int(rng.integers(2, 5)))
    return Scene(
        subject=subject,
        ground=str(rng.choice(GROUNDS)),
        background=background,
        time=str(rng.choice(TIMES, p=(0.45, 0.25, 0.3))),
        sky=str(rng.choice(SKIES, p=(0.6, 0.4))),
        shot=shot,
    )


def _colour(kind: str, rng: Generator) -> str:
    return str(rng.choice(TREE_COLOURS if kind == "tree" else COLOURS))
