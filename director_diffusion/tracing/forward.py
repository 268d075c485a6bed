"""Forward: from a still to everything that learned from it or was judged with it.

Belongs here: finding the still, and following the lineage from the artifacts that keep it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from director_diffusion.errors import StoreError
from director_diffusion.hashing import hash_file
from director_diffusion.publishing.publish import FILE as PUBLICATION
from director_diffusion.releases.record import read_releases
from director_diffusion.storage import Artifact
from director_diffusion.storage.ancestry import Ancestry
from director_diffusion.storage.artifact import latest_artifact
from director_diffusion.tracing.following import came_of_stills
from director_diffusion.tracing.still_words import files_of_people, seen_of, written_of
from director_diffusion.tracing.tables import TABLES, learned_by, rows_of
from director_diffusion.training.rows import ADAPTERS, adapter_version

LEAST_DIGITS = 12  # that name a still
STRONGEST = ("train", "validation", "held_out")  # of several splits, which one counts
OF_HELD_OUT = ("reference_set",)  # assets that hold nothing of other stills


@dataclass(frozen=True)
class Place:
    """A file of this content in an artifact of the stills, or of the raw ones where no still was made of it."""

    director: str
    still: str
    sha256: str
    film: str
    file: str
    status: str
    split: str
    reason: str
    key: str  # of that artifact


@dataclass(frozen=True)
class Use:
    """An artifact that depends on the still."""

    director: str
    asset: str
    key: str
    split: str  # the still's in it, or in what it was made of
    latest: bool  # it is what readers see
    adapter_version: str  # of an adapter, those of folds among them; "" for all else


@dataclass(frozen=True)
class ReleaseUse:
    """A time at which an adapter that depends on the still became live."""

    director: str
    recipe: str
    adapter_version: str
    commit: str
    date: str
    live: bool


@dataclass(frozen=True)
class PublishedUse:
    """A publication of an adapter that depends on the still."""

    director: str
    recipe: str
    key: str
    status: str  # "" where the store has lost what it said
    repo_id: str
    commit: str  # that the hub showed then, also where this one was withheld
    latest: bool


@dataclass(frozen=True)
class StillTrace:
    """All that depends on a still."""

    given: str
    places: tuple[Place, ...]
    uses: tuple[Use, ...]
    publications: tuple[PublishedUse, ...]
    releases: tuple[ReleaseUse, ...]
    files: tuple[str, ...]  # names in the store, beside those artifacts, of what holds it, was seen in it or learned it

    @property
    def learned(self) -> tuple[Use, ...]:
        """Adapters that trained on it, or began with one that did."""
        return tuple(use for use in self.uses if use.adapter_version and use.split == "train")


def trace_still(given: str, ancestry: Ancestry) -> StillTrace:
    """Of a still's id, the SHA-256 of its file, or a path to that.  Raises StoreError where nothing is known of it."""
    path = Path(given).expanduser()
    wanted = hash_file(path) if path.is_file() else given.lower()
    places, starts, files = _places(wanted, ancestry)
    if not places:
        raise StoreError(
            given,
            f"is no still that {ancestry.store.url} knows",
            f"Give its file, that file's SHA-256, or the id in a stills table ({LEAST_DIGITS} digits or more).",
        )
    stills = {place.still for place in places}
    splits: dict[str, str] = {}
    uses = _written(places, ancestry)
    publications = []
    for artifact in [*starts, *came_of_stills(ancestry, starts)]:
        split, items = _split_in(artifact, stills, ancestry, splits)
        if split is None:
            continue
        splits[artifact.folder] = split
        files |= items
        uses.append(_use(artifact, split))
        if uses[-1].adapter_version and split == "train":
            files |= set(artifact.manifest.references)  # the weights of its training's other steps
        if artifact.manifest.asset[-1] == "published_model":
            publications.append(_published(artifact))
    files |= seen_of(ancestry.store, stills)
    for place in places:
        files |= files_of_people(ancestry.store, place.director, place.film, place.file)
    return StillTrace(
        given=given,
        places=tuple(places),
        uses=tuple(uses),
        publications=tuple(publications),
        releases=_releases(uses, ancestry),
        files=tuple(sorted(files)),
    )


def _places(wanted: str, ancestry: Ancestry) -> tuple[list[Place], list[Artifact], set[str]]:
    """Where it stands, the stills artifacts that keep it, and the files that hold it."""
    places: list[Place] = []
    starts: list[Artifact] = []
    files: set[str] = set()
    for director in ancestry.partitions:
        for asset in ("stills", "raw_stills"):
            for artifact in ancestry.of((asset,), director):
                for row in rows_of(artifact) or ():
                    if not any(_is(row.get(name, ""), wanted) for name in ("still", "sha256")):
                        continue
                    if asset == "raw_stills":
                        files.add(row["name"])
                        if any(place.director == director for place in places):
                            continue
                    places.append(_place(row, director, artifact))
                    if row.get("status") == "kept":
                        starts.append(artifact)
                        files.update(name for name in (row["reference"], _inside(artifact, row["file"])) if name)
    return places, starts, files


def _place(row: Mapping[str, str], director: str, artifact: Artifact) -> Place:
    return Place(
        director=director,
        still=row.get("still", ""),
        sha256=row["sha256"],
        film=row["film"],
        file=row.get("file", "") if "role" in row else row["name"],
        status=row.get("status", "brought"),
        split=row.get("split", ""),
        reason=row.get("reason", ""),
        key=artifact.manifest.key,
    )


def _split_in(
    artifact: Artifact, stills: set[str], ancestry: Ancestry, splits: Mapping[str, str]
) -> tuple[str | None, set[str]]:
    """The still's split in an artifact, None where it does not depend on it; and the cached items that hold it."""
    if artifact.manifest.asset[-1] in TABLES:
        rows = [row for row in rows_of(artifact) or () if row["still"] in stills]
        return _strongest({row["split"] for row in rows}), {row["reference"] for row in rows if row.get("reference")}
    inputs = [found for found in ancestry.inputs(artifact).values() if found is not None]
    found = {splits[one.folder] for one in inputs if one.folder in splits}
    if found and artifact.manifest.asset[-1] in ADAPTERS and (learned := learned_by(artifact)) is not None:
        # Its own word counts, in which is that of the adapter it began with; folds only chose its step.
        found = {learned.get(still, "held_out") for still in stills}
    if artifact.manifest.asset[-1] in OF_HELD_OUT:
        found &= {"held_out"}
    return _strongest(found), set()


def _strongest(splits: set[str]) -> str | None:
    return next((split for split in STRONGEST if split in splits), min(splits, default=None))


def _use(artifact: Artifact, split: str) -> Use:
    manifest = artifact.manifest
    return Use(
        director=manifest.partition or "",
        asset="/".join(manifest.asset),
        key=manifest.key,
        split=split,
        latest=_is_latest(artifact),
        adapter_version=adapter_version(manifest) if manifest.asset[-1] in ADAPTERS else "",
    )


def _written(places: Iterable[Place], ancestry: Ancestry) -> list[Use]:
    """What people wrote of it, each artifact once."""
    found = {
        artifact.folder: _use(artifact, place.split or place.status)
        for place in places
        for artifact in written_of(ancestry, place.director, place.film, place.file)
    }
    return list(found.values())


def _published(artifact: Artifact) -> PublishedUse:
    manifest = artifact.manifest
    try:
        told = artifact.json(PUBLICATION)
    except StoreError:
        told = {}  # lost: that there was one is said all the same
    return PublishedUse(
        director=manifest.partition or "",
        recipe=manifest.asset[0],
        key=manifest.key,
        status=told.get("status", ""),
        repo_id=told.get("repo_id", ""),
        commit=told.get("commit", ""),
        latest=_is_latest(artifact),
    )


def _is_latest(artifact: Artifact) -> bool:
    manifest = artifact.manifest
    try:
        return latest_artifact(artifact.store, manifest.asset, manifest.partition).manifest.key == manifest.key
    except StoreError:
        return False  # its files are gone: readers see nothing


def _releases(uses: list[Use], ancestry: Ancestry) -> tuple[ReleaseUse, ...]:
    adapters = {(use.asset.split("/")[0], use.director) for use in uses if use.adapter_version}
    versions = {use.adapter_version for use in uses if use.adapter_version}
    return tuple(
        ReleaseUse(director, recipe, entry.adapter_version, entry.commit, entry.date, live=entry is entries[-1])
        for recipe, director in sorted(adapters)
        for entries in (read_releases(ancestry.store, recipe, director),)
        for entry in entries
        if entry.adapter_version in versions
    )


def _is(value: str, wanted: str) -> bool:
    return len(wanted) >= LEAST_DIGITS and value.startswith(wanted)


def _inside(artifact: Artifact, file: str) -> str:
    return f"{artifact.folder}/{file}" if file else ""
