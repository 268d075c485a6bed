"""Incoming: pictures with captions as another tool's folder has them, on their way to a director's films.

Belongs here: what a layout finds (kohya's, imagefolder's), and the names that finds get in a film's one flat folder.
"""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from director_diffusion.captions.prompt import strip_trigger
from director_diffusion.errors import StillsError
from director_diffusion.hashing import hash_bytes
from director_diffusion.stills.decisions import SUFFIX as DECISION

# Tried as pictures; all else is told to be none.
IMAGES = {".avif", ".bmp", ".gif", ".heic", ".heif", ".jp2", ".jpeg", ".jpg", ".jxl", ".png", ".ppm", ".tga", ".tif"}
IMAGES |= {".tiff", ".webp"}
_LONGEST_NAME = 200  # bytes: file systems take 255, and `.decision.yaml` is added to some


@dataclass(frozen=True)
class Incoming:
    """One picture, and what its folder says of it."""

    path: Path
    source: str  # its name in the folder that it comes from
    film: str
    name: str  # that it is to have in the film's folder
    caption: str | None


@dataclass
class Found:
    """What a folder holds: pictures to take, and what is not taken, with the reason."""

    pictures: list[Incoming] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)


def checked_film(name: str) -> str:
    """A film's name as the name of its folder.  Raises StillsError for what cannot be one."""
    film = unicodedata.normalize("NFC", name.strip())
    wrong = film.startswith(".") or any(c in "/\\" or not c.isprintable() for c in film)
    if not film or wrong or len(film.encode()) > _LONGEST_NAME // 2:
        raise StillsError(
            repr(name),
            "cannot be the name of a film's folder",
            f"Use at most {_LONGEST_NAME // 2} bytes, no '/', and no dot in front.",
        )
    return film


def is_image(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in IMAGES


def without_words(caption: str, words: str | None) -> tuple[str, bool]:
    """A caption without the `words` that it may begin with, and whether it did."""
    if not words:
        return caption, False
    rest = strip_trigger(caption, words)
    return rest, rest != caption.strip()


def named_apart(pictures: Sequence[Incoming]) -> list[Incoming]:
    """Each by a name of its own in its film, since a caption belongs to a name without suffix.

    The plain name where it is the only one, else the way to it joined by `-`, else with its suffix in the name, or with
    a hash of the way where even these are alike.
    """
    named = [replace(picture, name=_composed(PurePosixPath(picture.source).name)) for picture in pictures]
    for other_name in (_whole_way, _with_suffix, _with_hash):
        stems = Counter(_stem(picture) for picture in named)
        named = [
            replace(picture, name=_composed(other_name(picture.source))) if stems[_stem(picture)] > 1 else picture
            for picture in named
        ]
    return named


def unusable_name(name: str) -> str:
    """Why a still cannot have this name, or ""."""
    stem = PurePosixPath(name).stem.lower()
    if stem.endswith(".mask"):
        return "is named as a mask"
    if name.lower().endswith((DECISION, ".txt")):
        return "is named as what is written beside a still"
    if not name.isprintable() or "/" in name or len(name.encode("utf-8", "surrogateescape")) > _LONGEST_NAME:
        return f"has a name that is no plain text of at most {_LONGEST_NAME} bytes"
    return ""


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _stem(picture: Incoming) -> tuple[str, str]:
    return picture.film, PurePosixPath(picture.name).stem.casefold()


def _whole_way(source: str) -> str:
    return "-".join(PurePosixPath(source).parts)


def _with_hash(source: str) -> str:
    path = PurePosixPath(_with_suffix(source))
    return f"{path.stem}-{hash_bytes(source.encode('utf-8', 'surrogateescape'))[:8]}{path.suffix}"


def _with_suffix(source: str) -> str:
    path = PurePosixPath(_whole_way(source))
    return f"{path.stem}-{path.suffix.lstrip('.')}{path.suffix}"
