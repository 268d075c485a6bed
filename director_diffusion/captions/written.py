"""Written captions: what people put beside their stills, matched to them.

Belongs here: which text goes with which still, by film and the file's stem.  Reading the files is `stills.raw`'s work.
"""

import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

from director_diffusion.captions.prompt import strip_trigger
from director_diffusion.stills.rows import Still, WrittenCaption

Place = tuple[str, str]


def by_place(written: Iterable[WrittenCaption]) -> dict[Place, WrittenCaption]:
    """Written captions by film and stem."""
    return {named(caption.film, caption.stem): caption for caption in written}


def place_of(still: Still) -> Place:
    """Where a still's caption would have been written."""
    return named(still.film, PurePosixPath(still.name).stem)


def unmatched_captions(written: Iterable[WrittenCaption], stills: Iterable[Still]) -> list[str]:
    """`film/stem` of caption files beside no still at all, kept or rejected: most likely a slip of the name."""
    places = {place_of(still) for still in stills}
    return sorted("/".join(place) for place in by_place(written) if place not in places)


def written_text(caption: WrittenCaption, trigger: str) -> str:
    """The caption on one line, without the trigger that its author may have put in front."""
    return strip_trigger(" ".join(unicodedata.normalize("NFC", caption.text).split()), trigger)


def named(film: str, stem: str) -> Place:
    """The place of a stem.  File systems differ in how they compose letters; a name is the same name in either form."""
    return unicodedata.normalize("NFC", film), unicodedata.normalize("NFC", stem)
