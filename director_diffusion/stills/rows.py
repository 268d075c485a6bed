"""Rows of the stills' tables.

Belongs here: what is written down of every file that a director's folder holds.
"""

from dataclasses import dataclass
from typing import Literal

Split = Literal["train", "validation", "held_out", "none"]
"""What a still is for: to be learned from, to choose a training's step, to judge its adapter, or (rejected) nothing."""

RAW_FILE, WRITTEN_FILE, STILLS_FILE = "raw_stills.parquet", "written_captions.parquet", "stills.parquet"
DECISIONS_FILE = "still_decisions.parquet"
# Part of every still's id: raise it when the same file and crop come out as other pixels.
NORMALISER_VERSION = 1


@dataclass(frozen=True)
class RawFile:
    """One file under `stills/<director>/<film>/`, as found."""

    name: str  # the store's name
    film: str
    file: str  # the file's own name
    role: Literal["image", "mask"]
    size: int  # bytes
    sha256: str  # "" where it could not be read
    problem: str  # why it could not be read, or ""


@dataclass(frozen=True)
class WrittenCaption:
    """One `.txt` file that a person put beside a still of the same stem."""

    film: str
    stem: str
    text: str
    sha256: str
    problem: str


@dataclass(frozen=True)
class StillDecision:
    """What a person decided about one file, by a `.decision.yaml` beside it."""

    film: str
    file: str  # the still's own file name
    decision: Literal["keep", "reject", "none"]  # none: only cropped
    reason: str
    crop: tuple[float, ...]  # left, top, right, bottom as shares of the upright picture's sides; () for none
    who: str


@dataclass(frozen=True)
class Still:
    """One raw file and what became of it.

    `still` is the still's id: it says the file's content, its crop and the normaliser's version, so equal ids hold
    equal pixels.  A kept still is stored by `reference` (a store name, to be opened with `crop`), or as `file` (a name
    inside the stills artifact, already upright, sRGB and cropped).  A rejected one that shows something keeps its
    `reference`, to be looked at.
    """

    still: str
    film: str
    name: str  # the file's own name
    sha256: str
    status: Literal["kept", "rejected"]
    reason: str  # why it was rejected, in words; "" for kept ones
    warnings: tuple[str, ...]
    split: Split
    width: int  # pixels, after the crop
    height: int
    crop: tuple[int, ...]  # left, top, right, bottom in the upright image; () for none
    reference: str
    file: str
    phash: str  # 16 hex digits, perceptual hash after the crop
    cluster: int  # group of similar stills that the split keeps together
