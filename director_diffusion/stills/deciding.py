"""Deciding: a director's stills as they came out, with what people have decided about them since.

Belongs here: what a page shows of stills, and writing a decision beside one.  What a decision does is `ingest`'s, and
shows after the next materialization.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image

from director_diffusion.errors import SpecError
from director_diffusion.stills.decisions import (
    SUFFIX,
    Decision,
    Place,
    by_file,
    encode_decision,
    place_of,
    read_decision,
    row_of,
)
from director_diffusion.stills.decode import UndecodableError, decode
from director_diffusion.stills.raw import Beside, files_beside
from director_diffusion.stills.rows import DECISIONS_FILE, RAW_FILE, STILLS_FILE, RawFile, Still, StillDecision
from director_diffusion.stills.still_set import read_unchanged
from director_diffusion.storage import Store
from director_diffusion.storage.artifact import MANIFEST, partition_folder
from director_diffusion.storage.edited import ABSENT, check_readable, replace_unchanged
from director_diffusion.storage.latest import artifact_of, latest_rows, latest_version

_KEPT = 32  # versions of stills whose decisions are kept in memory


@dataclass(frozen=True)
class ShownStill:
    """A still, and the decision about it as it is now."""

    still: Still
    source: str  # the store's name of its raw file
    file: str  # the store's name of its decision, be it there or not
    mark: str  # of that file's content
    decision: Decision | None
    problem: str  # why the decision's file cannot be read, or ""
    waiting: bool  # the stills were made before this decision, or before it was taken back

    @property
    def name(self) -> str:
        """As people call it."""
        return f"{self.still.film}/{self.still.name}"


def shown_stills(store: Store, director: str) -> list[ShownStill]:
    """Every still of `director`, in the order of film and file.

    Raises StoreError where there are no stills yet, StillsError where their folder has gone.
    """
    sources = {
        place_of(file.film, file.file): file.name
        for file in latest_rows(store, ("raw_stills",), director, RAW_FILE, RawFile)
    }
    made_with = _made_with(store, director, latest_version(store, ("stills",), director))
    now = {place_of(one.film, one.file[: -len(SUFFIX)]): one for one in files_beside(store, director, "decision")}
    return [
        _shown(still, sources[place], now.get(place), made_with.get(place))
        for still in latest_rows(store, ("stills",), director, STILLS_FILE, Still)
        if (place := place_of(still.film, still.name)) in sources
    ]


def decide(store: Store, director: str, shown: ShownStill, decision: Decision | None) -> None:
    """Write a decision about a still as it was shown, or take it back.

    Raises ChangedError where somebody else has decided since, EditError where its file is none to be replaced.
    """
    check_readable(shown.mark, shown.name, f"file with a decision that {shown.problem}")
    data = None if decision is None else encode_decision(decision)
    title = f"The decision about {shown.name}"
    replace_unchanged(store, f"stills/{director}", {shown.file: data}, {shown.file: shown.mark}, title=title)


def open_upright(store: Store, source: str, sha256: str, max_megapixels: float) -> Image.Image | None:
    """The whole upright picture in a raw file, without any crop; None for what is none.

    Raises StillsError where the file has changed or gone since it was listed.
    """
    if not sha256:  # it could not even be read
        return None
    try:
        return decode(read_unchanged(store, source, sha256), max_megapixels).image
    except UndecodableError:
        return None


@lru_cache(_KEPT)
def _made_with(store: Store, director: str, stills: str) -> Mapping[Place, StillDecision]:
    """The decisions that stills of this version were made with."""
    asset = ("still_decisions",)
    wanted = artifact_of(store, ("stills",), director, json.loads(stills)["key"]).manifest.inputs.get(asset[0])
    keys = [name for name in store.names(partition_folder(asset, director)) if not name.endswith(".json")]
    whole = [key for key in keys if store.exists(f"{partition_folder(asset, director)}/{key}/{MANIFEST}")]
    found = (artifact_of(store, asset, director, key) for key in whole)
    made_with = next((one for one in found if one.version == wanted), None)
    return {} if made_with is None else by_file(made_with.table(DECISIONS_FILE, StillDecision))


def _shown(still: Still, source: str, found: Beside | None, before: StillDecision | None) -> ShownStill:
    decision, problem = None, ""
    if found is not None:
        problem = found.problem
        if found.data is not None:
            try:
                decision = read_decision(found.data, found.name)
            except SpecError as error:
                problem = f"cannot be read: {error.problem}"
    return ShownStill(
        still=still,
        source=source,
        file=found.name if found is not None else source + SUFFIX,
        mark=ABSENT if found is None else found.mark,
        decision=decision,
        problem=problem,
        waiting=_differ(decision, before),
    )


def _differ(decision: Decision | None, before: StillDecision | None) -> bool:
    if decision is None or before is None:
        return (decision is None) != (before is None)
    return row_of(before.film, before.file, decision) != before
