"""Finding: where a store keeps a still, and what was made of it.

Belongs here: which artifacts hold it, its name or its caption, and go; and which have learned it, and are told.
"""

import json
import socket
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from director_diffusion.captions.written import named
from director_diffusion.errors import StoreError
from director_diffusion.stills.raw import FOLDER
from director_diffusion.stills.rows import DECISIONS_FILE
from director_diffusion.stills.withdrawn import read_withdrawn
from director_diffusion.storage import Artifact, Store
from director_diffusion.storage.ancestry import Ancestry
from director_diffusion.storage.artifact import UNPARTITIONED, pointer
from director_diffusion.storage.work import work_folder
from director_diffusion.tracing.following import came_of_stills
from director_diffusion.tracing.forward import StillTrace, trace_still
from director_diffusion.tracing.still_words import files_of_people
from director_diffusion.tracing.tables import TABLES, rows_of
from director_diffusion.withdrawal.naming import Known, known_files, meant, named_before
from director_diffusion.withdrawal.plan import Learner, Taken, Withdrawal

OF_IT = ("reference_set", "evaluation", "release_evaluation", "joint_evaluation", "turbo_evaluation")
"""Assets, by their last names, that hold something of stills and have no row for each: means of vectors, the names and
pictures of those that an adapter's are nearest to."""


def find_withdrawal(
    store: Store,
    director: str,
    given: Sequence[str],
    *,
    who: str,
    source: bool = False,
    moved_to: str = "",
    begun: Sequence[Withdrawal] = (),
) -> Withdrawal:
    """What goes with the stills that `given` names: by film and file, by hash, by id, or as a file.

    What was `begun` before may have taken every list that knew a name; it knows the name itself.  Nothing is changed.
    Raises StoreError for a name that is none.
    """
    ancestry = Ancestry(store)
    known = [*known_files(ancestry, director), *named_before(begun)]
    taken = meant(given, known, director, read_withdrawn(store, director))
    shas, stills = {one.sha256 for one in taken}, {still for one in taken for still in one.stills}
    files = [file for file in known if file.sha256 in shas]
    going = _holding(ancestry, director, shas, stills, files)
    folders = {artifact.folder for artifact in going}
    traces = list(_traces(taken, ancestry))
    return Withdrawal(
        director=director,
        who=who,
        taken=tuple(taken),
        artifacts=tuple(artifact.folder for artifact in reversed(going)),  # what was made of others goes before them
        pointers=tuple(_pointers(store, going)),
        items=tuple(sorted(set(_items(ancestry, director, going, stills, folders)))),
        paths=tuple(sorted({str(path) for path in _paths(store, stills)})),
        host=socket.gethostname(),
        source=tuple(sorted(_source(store, director, files))) if source else (),
        moved_to=moved_to,
        learners=tuple(dict.fromkeys(one for trace in traces for one in _learners(trace))),
        published=tuple(dict.fromkeys(words for trace in traces for words in _published(trace))),
        notes=tuple(_notes(ancestry, director, shas, files, source=source)),
        needles=tuple(
            sorted(
                {
                    *shas,
                    *stills,
                    *(f"{FOLDER}/{director}/{file.name}" for file in files),
                    *(artifact.manifest.key for artifact in going),
                }
            )
        ),
        names=tuple(sorted({one for file in files for one in (file.file, file.name)})),
    )


def _holding(
    ancestry: Ancestry, director: str, shas: Collection[str], stills: Collection[str], files: Sequence[Known]
) -> list[Artifact]:
    """The director's artifacts that hold it, in lineage order."""
    places = {named(file.film, file.file) for file in files}
    stems = {named(file.film, PurePosixPath(file.file).stem) for file in files}
    found: dict[str, Artifact] = {}
    starts = []
    for asset in ancestry.assets(director):
        for artifact in ancestry.of(asset, director):
            if asset[-1] in TABLES:
                rows = rows_of(artifact) or ()
                if any(row.get("sha256") in shas or row.get("still") in stills for row in rows):
                    found[artifact.folder] = artifact
                    starts += [artifact] if asset == ("stills",) else []
            elif asset == ("written_captions",):
                if any(named(row["film"], row["stem"]) in stems for row in rows_of(artifact) or ()):
                    found[artifact.folder] = artifact
            elif asset == ("still_decisions",) and any(
                named(row["film"], row["file"]) in places for row in _decisions(artifact)
            ):
                found[artifact.folder] = artifact
    for artifact in came_of_stills(ancestry, starts):
        if artifact.manifest.asset[-1] in OF_IT and artifact.manifest.partition == director:
            found[artifact.folder] = artifact
    return sorted(found.values(), key=lambda artifact: artifact.manifest.made)


def _decisions(artifact: Artifact) -> list[dict[str, str]]:
    import pyarrow.parquet as pq

    with artifact.store.local_copy(f"{artifact.folder}/{DECISIONS_FILE}") as path:
        return list(pq.read_table(path).to_pylist())


def _pointers(store: Store, going: Sequence[Artifact]) -> Iterator[str]:
    keys = {artifact.folder: artifact.manifest.key for artifact in going}
    names = {pointer(one.manifest.asset, one.manifest.partition) for one in going}
    for name, content in store.read_those(sorted(names)).items():
        if f"{PurePosixPath(name).parent}/{json.loads(content)['key']}" in keys:
            yield name


def _items(
    ancestry: Ancestry, director: str, going: Sequence[Artifact], stills: Collection[str], folders: Collection[str]
) -> Iterator[str]:
    """Cached work on it.

    What was made of another director's equal bytes is not its alone, nor a prompt of a caption that others have too.
    """
    store = ancestry.store
    starts = tuple(stills)
    named_so = {f"cache/{name}" for name in store.sizes("cache") if PurePosixPath(name).name.startswith(starts)}
    in_rows = {
        row["reference"]
        for artifact in going
        if artifact.manifest.asset[-1] in TABLES
        for row in rows_of(artifact) or ()
        if row.get("still") in stills and str(row.get("reference") or "").startswith("cache/")
    }
    staying: dict[bool, set[str]] = {True: set(), False: set()}  # references, by whether another director's
    for place in (*ancestry.partitions, None):
        for asset in ancestry.assets(place or UNPARTITIONED):
            for artifact in ancestry.of(asset, place):
                if artifact.folder not in folders:
                    staying[place not in (director, None)].update(artifact.manifest.references)
    yield from named_so - staying[True]
    yield from in_rows - staying[True] - staying[False]
    yield from _unfinished(store, stills)


def _unfinished(store: Store, stills: Collection[str]) -> Iterator[str]:
    """Copies of unfinished trainings on it, which a bucket keeps for other machines."""
    if store.local_root is not None:
        return
    for name in store.sizes("work"):
        if PurePosixPath(name).name == "identity.json" and _tells(store.read(f"work/{name}"), stills):
            yield f"work/{PurePosixPath(name).parent.parent}"


def _paths(store: Store, stills: Collection[str]) -> Iterator[Path]:
    """What unfinished work left on this machine: trainings that nobody can go on with, and a step's own files."""
    root = work_folder(store, "x").parent
    for path in root.rglob("identity.json"):
        if _tells(path.read_bytes(), stills):
            yield path.parent.parent
    starts = tuple(stills)
    for folder in Path(tempfile.gettempdir()).glob("director-*"):
        if folder.is_dir():
            yield from (path for path in folder.rglob("*") if path.name.startswith(starts))


def _tells(data: bytes, stills: Collection[str]) -> bool:
    return any(still.encode() in data for still in stills)


def _source(store: Store, director: str, files: Sequence[Known]) -> Iterator[str]:
    """What people put there: the file, its mask, its caption and what was decided of it."""
    for file in files:
        if not file.there:
            continue
        yield file.there
        yield from files_of_people(store, director, file.film, file.file)
        folder, stem = PurePosixPath(file.there).parent, PurePosixPath(file.file).stem
        for name in store.names(str(folder)):
            if PurePosixPath(name).stem.lower() == f"{stem}.mask".lower():
                yield f"{folder}/{name}"


def _traces(taken: Sequence[Taken], ancestry: Ancestry) -> Iterator[StillTrace]:
    for one in taken:
        with suppress(StoreError):  # no list knows it: nothing was made of it
            yield trace_still(one.sha256, ancestry)


def _learners(trace: StillTrace) -> Iterator[Learner]:
    for use in trace.uses:
        if use.adapter_version:
            yield Learner(use.asset, use.director, use.key, use.split, use.latest)


def _published(trace: StillTrace) -> Iterator[str]:
    for one in trace.publications:
        if one.status == "published":
            yield f"{one.recipe} of {one.director}, published as {one.repo_id}, commit {one.commit[:12]}"
    for release in trace.releases:
        if release.live:
            yield f"{release.recipe} of {release.director}, live since {release.date[:10]}"


def _notes(
    ancestry: Ancestry, director: str, shas: Collection[str], files: Sequence[Known], *, source: bool
) -> Iterator[str]:
    left = sorted({file.there for file in files if file.there})
    if left and not source:
        yield (
            f"{', '.join(left)} and what lies beside it stay where people put them; the still is rejected "
            "from now on. --source removes them."
        )
    for other in ancestry.partitions:
        if other == director:
            continue
        rows = (row for artifact in ancestry.of(("raw_stills",), other) for row in rows_of(artifact) or ())
        if any(row["sha256"] in shas for row in rows):
            yield f"{other} has the same bytes: withdraw them there too."
