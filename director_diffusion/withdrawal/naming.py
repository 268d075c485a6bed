"""Naming: which contents a person means by a still's name, its hash or a file.

Belongs here: all that this store ever knew under that name.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from director_diffusion.errors import StillsError, StoreError
from director_diffusion.hashing import hash_file
from director_diffusion.stills.decisions import place_of
from director_diffusion.stills.ingest import still_id
from director_diffusion.stills.raw import FOLDER, list_raw_files
from director_diffusion.stills.rows import RawFile
from director_diffusion.storage.ancestry import Ancestry
from director_diffusion.tracing.forward import LEAST_DIGITS
from director_diffusion.tracing.tables import rows_of
from director_diffusion.withdrawal.plan import Taken, Withdrawal


@dataclass(frozen=True)
class Known:
    """A file that this director has, or had."""

    film: str
    file: str
    sha256: str
    still: str  # "" where no still was made of it
    there: str  # the store's name where it lies there now, or ""

    @property
    def name(self) -> str:
        return f"{self.film}/{self.file}"


def known_files(ancestry: Ancestry, director: str) -> list[Known]:
    """Every file of the director, by all lists that there are, and by what lies in the folder now."""
    found = list[Known]()
    for row in _rows(ancestry, director, "raw_stills"):
        found.append(Known(row["film"], row["file"], row["sha256"], "", ""))
    for row in _rows(ancestry, director, "stills"):
        found.append(Known(row["film"], row["name"], row["sha256"], row["still"], ""))
    try:
        there = list_raw_files(ancestry.store, director)
    except StillsError:
        there = []  # no folder any more, or nothing in it
    for file in there:
        plain = still_id(file, None) if file.sha256 else ""
        found.append(Known(file.film, file.file, file.sha256, plain, file.name))
    return [one for one in found if one.sha256]


def named_before(begun: Iterable[Withdrawal]) -> Iterator[Known]:
    """The files of withdrawals that were begun: no list and no file may know them any more."""
    for taken in (one for each in begun for one in each.taken):
        for name in taken.names:
            film, _, file = name.rpartition("/")
            yield from (Known(film, file, taken.sha256, still, "") for still in taken.stills or ("",))


def meant(given: Sequence[str], known: Iterable[Known], director: str, withdrawn: Collection[str]) -> list[Taken]:
    """The contents that are meant.  Raises StoreError for what is known by none of these names, or by several films'.

    A content that was withdrawn before is found by its whole hash, though nothing is known of it any more.
    """
    files = list(known)
    wanted: dict[str, None] = {}
    for one in given:
        wanted |= dict.fromkeys(_contents(one, files, director, withdrawn))
    names, stills = defaultdict[str, dict[str, None]](dict), defaultdict[str, dict[str, None]](dict)
    for file in files:
        names[file.sha256][file.name] = None
        stills[file.sha256] |= {file.still: None, _plain_still(file): None}
    return [
        Taken(sha256, tuple(sorted(names[sha256])), tuple(sorted(one for one in stills[sha256] if one)))
        for sha256 in wanted
    ]


def _contents(given: str, files: Sequence[Known], director: str, withdrawn: Collection[str]) -> list[str]:
    path = Path(given).expanduser()
    wanted = hash_file(path) if path.is_file() else given.lower()
    if len(wanted) >= LEAST_DIGITS:
        found = {file.sha256 for file in files if file.sha256.startswith(wanted) or file.still.startswith(wanted)}
        found |= {one for one in withdrawn if one.startswith(wanted)}
        if found:
            return sorted(found)
    named = given.removeprefix(f"{FOLDER}/{director}/")
    whole = [file for file in files if place_of("", file.name) == place_of("", named)]
    found_files = whole or [file for file in files if place_of("", file.file) == place_of("", named)]
    if len(names := sorted({file.name for file in found_files})) > 1:
        raise StoreError(given, f"names several stills: {', '.join(names)}", "Give one as <film>/<file>, or its hash.")
    if not found_files:
        raise StoreError(
            given,
            f"is no still that {director} has or had",
            f"Give <film>/<file>, the file's SHA-256, the still's id ({LEAST_DIGITS} digits or more), or the file.",
        )
    return sorted({file.sha256 for file in found_files})


def _plain_still(file: Known) -> str:
    """The id that the whole picture has: cached work may go by it though no list knows it any more."""
    raw = RawFile(name="", film=file.film, file=file.file, role="image", size=0, sha256=file.sha256, problem="")
    return still_id(raw, None)


def _rows(ancestry: Ancestry, director: str, asset: str) -> list[dict[str, str]]:
    return [row for artifact in ancestry.of((asset,), director) for row in rows_of(artifact) or ()]
