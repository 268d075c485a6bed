"""Data sets: a director's finished stills with their captions, for other tools.

Belongs here: which pairs go out.  How a folder is laid out is each layout's (`kohya`, `imagefolder`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from director_diffusion.captions.rows import Caption
from director_diffusion.errors import StillsError
from director_diffusion.stills.rows import Split, Still
from director_diffusion.stills.still_set import StillSet


@dataclass(frozen=True)
class Pair:
    """A still and what it shows, without the trigger."""

    still: Still
    caption: str  # "" where it needs a person
    still_set: StillSet


def pairs_of(still_set: StillSet, captions: Iterable[Caption], splits: Iterable[Split]) -> list[Pair]:
    """The kept stills of these splits, in their order.  Raises StillsError where there are none."""
    texts, wanted = {caption.still: caption.text for caption in captions}, set(splits)
    pairs = [Pair(still, texts.get(still.still, ""), still_set) for still in still_set.kept if still.split in wanted]
    if not pairs:
        raise StillsError(
            "The stills", f"have none in {', '.join(sorted(wanted))}", "Look at the stills' contact sheet."
        )
    return pairs


def write_picture(pair: Pair, path: Path) -> None:
    """The still's pixels, as training sees them."""
    pair.still_set.open(pair.still).save(path, "PNG")
