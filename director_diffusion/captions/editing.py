"""Editing: a director's captions as training would be given them now, and writing one beside its still.

Belongs here: what a page shows of captions, and the files that it writes: those that people write by hand, which
`written_captions` looks at.  Taking a file away gives the still back to the captioner.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from director_diffusion.captions.prompt import strip_trigger
from director_diffusion.captions.rows import FILE, Caption
from director_diffusion.captions.written import Place, named, place_of, written_text
from director_diffusion.errors import EditError
from director_diffusion.plain_text import NOT_PLAIN, is_plain
from director_diffusion.specs import Director
from director_diffusion.stills import raw
from director_diffusion.stills.decisions import place_of as file_place
from director_diffusion.stills.rows import RAW_FILE, STILLS_FILE, RawFile, Still
from director_diffusion.storage import Store
from director_diffusion.storage.edited import ABSENT, check_readable, replace_unchanged
from director_diffusion.storage.latest import latest_rows

MOST_TEXT = 2000  # characters: several times what any base reads


@dataclass(frozen=True)
class Entry:
    """The caption of a kept still, as it is now."""

    still: Still
    sharing: tuple[str, ...]  # files of other stills of the same stem, whose caption it is too
    file: str  # the store's name of its caption file, be it there or not
    mark: str  # of that file's content
    text: str  # without the trigger; "" where there is none that training could use
    by: Literal["person", "model", "none"]
    problems: tuple[str, ...]  # as the captions stage told of this text, or why the file cannot be used
    waiting: bool  # the captions were made before this text was written, or taken back

    @property
    def name(self) -> str:
        """As people call it."""
        return f"{self.still.film}/{self.still.name}"

    @property
    def needs_person(self) -> bool:
        """Nothing usable says what it shows, and the captioner has been asked."""
        return not self.text and not self.waiting


def entries(store: Store, director: Director) -> list[Entry]:
    """One per kept still, in their order.

    Raises StoreError where there are no captions yet, StillsError where the stills' folder has gone.
    """
    slug = director.slug
    kept = [one for one in latest_rows(store, ("stills",), slug, STILLS_FILE, Still) if one.status == "kept"]
    told = {row.still: row for row in latest_rows(store, ("captions",), slug, FILE, Caption)}
    sources = {
        file_place(file.film, file.file): file.name
        for file in latest_rows(store, ("raw_stills",), slug, RAW_FILE, RawFile)
    }
    files = {
        named(found.film, PurePosixPath(found.file).stem): found for found in raw.files_beside(store, slug, "caption")
    }
    stems: dict[Place, list[str]] = {}
    for still in kept:
        stems.setdefault(place_of(still), []).append(still.name)
    return [
        _entry(
            still,
            tuple(name for name in stems[place_of(still)] if name != still.name),
            str(PurePosixPath(source).with_suffix(".txt")),
            files.get(place_of(still)),
            told.get(still.still),
            director,
        )
        for still in kept
        if (source := sources.get(file_place(still.film, still.name))) is not None
    ]


def checked_text(text: object, director: Director) -> str:
    """A caption on one line, without the trigger that its author may have put in front.

    Raises EditError for what is no text, too long, empty, or not plain.  The words do not repeat it.
    """
    if not isinstance(text, str):
        raise EditError("The caption", "is no text", "Write what the still shows, in words.")
    if len(text) > MOST_TEXT:
        raise EditError("The caption", f"has {len(text):,} characters", f"Use {MOST_TEXT:,} at most.")
    if not is_plain(text, lines=True):
        raise EditError("The caption", NOT_PLAIN, "Write plain text.")
    line = strip_trigger(" ".join(text.split()), director.trigger)
    if not line:
        raise EditError("The caption", "is empty", "Write one, or undo to give the still back to the captioner.")
    return line


def write_captions(store: Store, director: Director, texts: Mapping[str, str], shown: Iterable[Entry]) -> None:
    """Write the captions of entries, by their files, as they were `shown`; `texts` are checked ones.

    None is written unless all are as they were shown; a store that fails midway keeps those written before.  Raises
    ChangedError where somebody else has changed one since, EditError for a file that is none to be replaced.
    """
    _replace(store, director, {file: f"{text}\n".encode() for file, text in texts.items()}, shown)


def take_back(store: Store, director: Director, shown: Entry) -> None:
    """Remove a person's caption as it was `shown`.  Raises EditError where there is none, ChangedError as above."""
    if shown.mark == ABSENT:
        raise EditError(shown.name, "has no caption by a person", "There is nothing to take back.")
    _replace(store, director, {shown.file: None}, [shown])


def check_writable(entry: Entry) -> None:
    """Raise EditError for an entry whose file could not be read: nobody knows what would be replaced."""
    check_readable(entry.mark, entry.name, f"caption file that {'; '.join(entry.problems)}")


def _replace(store: Store, director: Director, changes: Mapping[str, bytes | None], shown: Iterable[Entry]) -> None:
    by_file = {entry.file: entry for entry in shown if entry.file in changes}
    for entry in by_file.values():
        check_writable(entry)
    names = [entry.name for entry in by_file.values()]
    title = f"The caption of {names[0]}" if len(names) == 1 else "A caption among these"
    marks = {file: entry.mark for file, entry in by_file.items()}
    replace_unchanged(store, f"stills/{director.slug}", changes, marks, title=title)


def _entry(
    still: Still,
    sharing: tuple[str, ...],
    new_file: str,
    found: raw.Beside | None,
    told: Caption | None,
    director: Director,
) -> Entry:
    """The caption of a still of which `told` is the row, and `found` the file."""
    written = raw.written_caption(found) if found is not None else None
    own = written_text(written, director.trigger) if written is not None else ""
    file = found.name if found is not None else new_file
    mark = ABSENT if found is None else found.mark
    if own:
        same = told is not None and told.source == "person" and told.text == own
        problems = told.problems if told is not None and same else ()
        return Entry(still, sharing, file, mark, own, "person", problems, waiting=not same)
    unusable = () if written is None else (written.problem or "holds the trigger alone",)
    if told is None or told.source == "person":  # the captioner has yet to be asked
        return Entry(still, sharing, file, mark, "", "none", unusable, waiting=True)
    return Entry(still, sharing, file, mark, told.text, told.source, unusable or told.problems, waiting=False)
