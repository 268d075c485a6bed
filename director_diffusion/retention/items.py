"""Items: which cached pieces of work may go, and which remains of processes that were killed.

Belongs here: what of a store is no artifact.  How old a file is only a local disk says; where the store is a bucket,
nothing of this goes.
"""

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from pathlib import Path, PurePosixPath

from director_diffusion.retention.collection import LEAST_AGE, LEFT_BEHIND, LEFT_BY_STEP, Kept, Policy, Removal
from director_diffusion.retention.known import Known
from director_diffusion.retention.records import records
from director_diffusion.storage.files import TEMPORARY
from director_diffusion.storage.latest import artifact_of
from director_diffusion.storage.work import work_folder
from director_diffusion.tracing.tables import rows_of
from director_diffusion.training.picks import newest_training, read_pick

REFERRED = ("latents", "prompts", "images", "trainings")  # what artifacts name all that they need of
BY_KEY = ("captions", "embeddings", "previews", "trajectories", "visits")  # looked up by key, and named nowhere
OF_STILLS = ("captions", "embeddings")  # whose names begin with the still's
FIRST = "pictures-"  # names of notes in which a canary tells of its first pictures
OUT = "director-out-"  # what a step makes its files in
# Of other kinds nothing goes: parts of bases cost days, and the canary's adapter is kept for ever.

UNUSED = "older than keep-days, and nothing that stays refers to it"
UNKNOWN = "older than keep-days; only its key tells whether it would be found again"


class Items:
    """What goes beside artifacts, where the artifacts of these folders are `kept`."""

    def __init__(self, known: Known, kept: Collection[str], policy: Policy, now: datetime):
        self._store, self._policy, self._now = known.store, policy, now
        self._known, self._versions = known, [known.by_folder[folder] for folder in kept]
        self.notes: list[str] = []

    def cached(self) -> tuple[list[Removal], list[Kept]]:
        """Of the cache."""
        removals, counts, weights = list[Removal](), Counter[tuple[str, str]](), Counter[tuple[str, str]]()
        in_use = self._in_use()
        for name, size in self._store.sizes("cache").items():
            kind, item = name.partition("/")[0], f"cache/{name}"
            if PurePosixPath(name).name.startswith(TEMPORARY):
                continue  # a leftover
            if kind not in (*REFERRED, *BY_KEY):
                why = "of this kind nothing goes"
            elif in_use(kind, item):
                why = "in use"
            elif (age := self._age(item)) is None or age < self._policy.keep.total_seconds():
                why = "younger than keep-days" if age is not None else "nobody knows how old"
            else:
                removals.append(Removal("item", kind, item, UNUSED if kind in REFERRED else UNKNOWN, size))
                continue
            counts[kind, why] += 1
            weights[kind, why] += size
        return removals, [Kept(f"cache/{kind}", why, n, weights[kind, why]) for (kind, why), n in counts.items()]

    def remains(self) -> Iterator[Removal]:
        """Folders of artifacts that were never finished, or whose removal was cut off."""
        for folder, size in self._known.remains.items():
            files = (name for name in self._known.sizes if name.startswith(f"{folder}/"))
            ages = [self._age(name) for name in files]
            if all(age is not None and age > LEAST_AGE.total_seconds() for age in ages):
                asset = "/".join(folder.split("/")[1:-2])
                yield Removal("remains", asset, folder, "files without a manifest: no artifact", size)

    def leftovers(self, but: Collection[str]) -> Iterator[Removal]:
        """What killed processes were writing, other than in the folders `but`."""
        root = self._store.local_root
        for path in sorted(root.rglob(f"{TEMPORARY}*")) if root is not None else ():
            name = path.relative_to(root).as_posix()  # type: ignore[arg-type]  # there is a root where there is a path
            if name.startswith("work/") or not path.is_file() or any(str(one) in but for one in Path(name).parents):
                continue
            if self._old(path, LEFT_BEHIND.total_seconds()):
                yield Removal("leftover", "half-written file", name, "its writer is gone for a day", _size(path))
        for path in sorted(Path(tempfile.gettempdir()).glob(f"{OUT}*")):
            if path.is_dir() and self._old(path, LEFT_BY_STEP.total_seconds()):
                yield Removal("leftover", "a killed step's files", str(path), "untouched for a week", _size(path))

    def work(self) -> Iterator[Removal]:
        """Checkpoints of trainings that are finished, or will not be."""
        finished = {one.split("/")[2] for version in self._known for one in version.references if _is_training(one)}
        root, current = work_folder(self._store, "trainings"), self._trainings()
        for path in sorted({found.parent.parent for found in root.rglob("identity.json")}):
            keep = self._policy.keep.total_seconds()
            if path.name in finished and self._old(path, LEAST_AGE.total_seconds()):
                why = "checkpoints of a finished training"
            elif path.name not in finished | current and self._old(path, keep):
                why = "checkpoints of a training that nobody went on with"
            else:
                continue
            yield Removal("work", "checkpoints", str(path), why, _size(path))

    def _in_use(self) -> Callable[[str, str], bool]:
        referred = {name for version in self._versions for name in version.references}
        trainings, stills, canaries = self._trainings(), self._stills(), self._canaries()

        def in_use(kind: str, item: str) -> bool:
            if item in referred:
                return True
            folder, name = item.split("/")[2], PurePosixPath(item).name
            if kind == "trainings":
                return folder in trainings
            if kind == "images":
                return canaries is None or str(PurePosixPath(item).parent) in canaries
            return kind in OF_STILLS and name.partition(".")[0] in stills

        return in_use

    def _trainings(self) -> set[str]:
        """The newest of each director and recipe, of whose steps people choose, and those that they chose of."""
        found = set[str]()
        for recipe, director in records(self._store, "trainings"):
            found.add(newest_training(self._store, recipe, director))
        for recipe, director in records(self._store, "picks"):
            pick = read_pick(self._store, recipe, director)
            found |= {pick.training} if pick is not None else set()
        return found

    def _stills(self) -> set[str]:
        """All that a kept set of stills knows."""
        found = set[str]()
        for one in self._versions:
            if one.asset == ("stills",):
                artifact = artifact_of(self._store, one.asset, one.partition, one.key)
                found |= {row["still"] for row in rows_of(artifact) or () if row["still"]}
        return found

    def _canaries(self) -> set[str] | None:
        """The folders of canaries' first pictures; None where some canary has not said which are its."""
        found = set[str]()
        for canary in self._store.names("cache/canary"):
            names = [name for name in self._store.names(f"cache/canary/{canary}") if name.startswith(FIRST)]
            if not names:
                self.notes.append(
                    "A canary sang before it noted which pictures are its first, so no picture goes; "
                    "the weekly re-evaluation, or a run tagged director/fresh, makes it sing again."
                )
                return None
            told = self._store.read_those([f"cache/canary/{canary}/{name}" for name in names])
            found |= {str(json.loads(content)["folder"]) for content in told.values()}
        return found

    def _age(self, name: str) -> float | None:
        """Seconds since the store's file was written; None where nobody knows."""
        if self._store.local_root is None:
            return None
        try:
            return self._now.timestamp() - Path(self._store.full(name)).stat().st_mtime
        except FileNotFoundError:
            return None

    def _old(self, path: Path, seconds: float) -> bool:
        """Whether nothing in a file or folder was written for so long."""
        times = [one.stat().st_mtime for one in (path, *path.rglob("*")) if one.exists()]
        return all(self._now.timestamp() - time > seconds for time in times)


def _is_training(reference: str) -> bool:
    return reference.startswith("cache/trainings/")


def _size(path: Path) -> int:
    return sum(one.stat().st_size for one in (path, *path.rglob("*")) if one.is_file())
