"""Placeholders: drawn stills that fill an empty store, so that the graph has something to run on.

Belongs here: laying them out as directors, films and files.  They are no film stills, and their films are called so.
"""

import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from PIL import Image

from director_diffusion.errors import SpecError
from director_diffusion.progress import Progress
from director_diffusion.scenes.captions import describe
from director_diffusion.scenes.drawing import draw
from director_diffusion.scenes.scene import Scene, sample_scene
from director_diffusion.scenes.style import STYLES, Style, sample_style
from director_diffusion.specs import PlaceholderStills
from director_diffusion.storage import Store

FRAME = (640, 360)  # pixels, 16:9
PICTURES = ((640, 268), (640, 346), (480, 360), (640, 268))  # content of each film: 2.39, 1.85, 1.33 and 2.39 to 1
FILMS = len(PICTURES)
JPEG_QUALITY = 92
MARK = "placeholder_stills.json"
"""The store's own note that it was filled, for whom, and whether to the end."""


@dataclass(frozen=True)
class _Placeholder:
    """One still to be drawn."""

    director: str
    film: int
    number: int
    captioned: bool

    @property
    def name(self) -> str:
        return f"stills/{self.director}/placeholder_film_{self.film + 1}/still_{self.number + 1:02d}"


def fill_placeholder_stills(store: Store, directors: Sequence[str], spec: PlaceholderStills, progress: Progress) -> int:
    """Draw `spec.per_director` letterboxed stills in four films for each director's slug.  Returns how many it wrote.

    Fills only a store that has no stills at all, or whose filling was cut short; a person's files stay as they are.
    The same spec always gives the same bytes.  Directors that `STYLES` does not know get a style from their slug.
    """
    note = json.loads(store.read(MARK)) if store.exists(MARK) else None
    if note["finished"] if note else store.names("stills"):
        return 0
    directors = note["directors"] if note else directors  # who came after a filling that was cut short has own stills
    if not directors:
        raise SpecError("placeholder stills", "there is no director to draw them for", "Add a director to configs/.")
    _mark(store, directors, finished=False)
    written = 0
    with progress.task("placeholder stills", spec.per_director * len(directors)) as task:
        for director in directors:
            style = STYLES.get(director) or sample_style(_seeded(spec.seed, director))
            for placeholder in _placeholders(director, spec):
                written += _write(store, placeholder, style, spec.seed)
                task.advance()
    _mark(store, directors, finished=True)
    return written


def placeholder_scene(director: str, film: str, name: str, *, seed: int) -> Scene:
    """What a placeholder still shows, by the names of its folder and of its file without the ending."""
    return sample_scene(_seeded(seed, f"stills/{director}/{film}/{name}"))


def _mark(store: Store, directors: Sequence[str], *, finished: bool) -> None:
    store.write(MARK, json.dumps({"finished": finished, "directors": list(directors)}).encode())


def _placeholders(director: str, spec: PlaceholderStills) -> Iterator[_Placeholder]:
    """A director's stills, captions spread evenly over the films."""
    for index in range(spec.per_director):
        captioned = int((index + 1) * spec.captioned_share) > int(index * spec.captioned_share)
        # Consecutive stills go to consecutive films, with a shift after each round, so that captions reach all films.
        film = (index + index // FILMS) % FILMS
        yield _Placeholder(director, film, index // FILMS, captioned)


def _write(store: Store, placeholder: _Placeholder, style: Style, seed: int) -> int:
    """Write a still and its caption unless they are there.  Returns 1 for a new still, else 0."""
    image, text = f"{placeholder.name}.jpg", f"{placeholder.name}.txt"
    if store.exists(image):
        return 0
    rng = _seeded(seed, placeholder.name)
    scene = sample_scene(rng)
    if placeholder.captioned:
        store.write(text, f"{describe(scene)}\n".encode())
    width, height = PICTURES[placeholder.film]
    frame = Image.new("RGB", FRAME)
    frame.paste(draw(scene, style, width, height, rng), ((FRAME[0] - width) // 2, (FRAME[1] - height) // 2))
    buffer = io.BytesIO()
    frame.save(buffer, "JPEG", quality=JPEG_QUALITY)
    store.write(image, buffer.getvalue())
    return 1


def _seeded(seed: int, name: str) -> Generator:
    """A generator of its own for every name, so that one still's content hangs on no other's."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))
