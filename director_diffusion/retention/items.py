"""Items: which cached pieces of work may go, and which remains of processes that were killed.

Belongs here: what of a store is no artifact, and the work beside it on this machine.  How old a file is, a disk says,
and S3; where the store is neither, nothing of this goes.
"""

import json
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath

from director_diffusion.retention.collection import LEAST_AGE, LEFT_BEHIND, LEFT_BY_STEP, Kept, Policy, Removal
from director_diffusion.retention.known import Known
from director_diffusion.retention.records import records
from director_diffusion.storage.artifact import OBSERVED
from director_diffusion.storage.files import TEMPORARY, Folder, Info
from director_diffusion.storage.latest import artifact_of
from director_diffusion.storage.work import work_folder
from director_diffusion.tracing.tables import rows_of
from director_diffusion.training.picks import newest_training, read_pick

REFERRED = ("latents", "prompts", "images", "trainings")  # what artifacts name all that they need of
BY_KEY = ("captions", "embeddings", "previews", "trajectories", "visits")  # looked up by key, and named nowhere
OF_STILLS = ("captions", "embeddings")  # whose names begin with the still's
FIRST = "pictures-"  # names of notes in which a canary tells of its first pictures
COPIES = "work/trainings"  # of checkpoints, in a bucket
OUT = "director-out-"  # what a step makes its files in
# Of other kinds nothing goes: parts of bases cost days, and the canary's adapter is kept for ever.

UNUSED = "older than keep-days, and nothing that stays refers to it"
OBSERVED_LONG_AGO = "shown while something was made, longer than keep-days ago"
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
        for name, info in self._store.below("cache").items():
            kind, item = name.partition("/")[0], f"cache/{name}"
            if PurePosixPath(name).name.startswith(TEMPORARY):
                continue  # a leftover
            if kind not in (*REFERRED, *BY_KEY):
                why = "of this kind nothing goes"
            elif in_use(kind, item):
                why = "in use"
            elif not self._all_old([info], self._policy.keep):
                why = "younger than keep-days" if info.written is not None else "nobody knows how old"
            else:
                removals.append(Removal("item", kind, item, UNUSED if kind in REFERRED else UNKNOWN, info.size))
                continue
            counts[kind, why] += 1
            weights[kind, why] += info.size
        return removals, [Kept(f"cache/{kind}", why, n, weights[kind, why]) for (kind, why), n in counts.items()]

    def observed(self) -> Iterator[Removal]:
        """Pictures that runs showed of what they were making: nothing but Dagster's records names them."""
        for name, info in self._known.observed.items():
            if not PurePosixPath(name).name.startswith(TEMPORARY) and self._all_old([info], self._policy.keep):
                yield Removal("item", OBSERVED, name, OBSERVED_LONG_AGO, info.size)

    def remains(self) -> Iterator[Removal]:
        """Folders of artifacts that were never finished, or whose removal was cut off."""
        for folder, files in self._known.remains.items():
            if self._all_old(files, LEAST_AGE):
                asset = "/".join(folder.split("/")[1:-2])
                yield Removal("remains", asset, folder, "files without a manifest: no artifact", _size(files))

    def leftovers(self, but: Collection[str]) -> Iterator[Removal]:
        """What killed processes were writing, other than in the folders `but`."""
        root = self._store.local_root
        for path in sorted(root.rglob(f"{TEMPORARY}*")) if root is not None else ():
            name = path.relative_to(root).as_posix()  # type: ignore[arg-type]  # there is a root where there is a path
            if name.startswith("work/") or not path.is_file() or any(str(one) in but for one in Path(name).parents):
                continue
            if self._all_old(seen := _seen(path), LEFT_BEHIND):
                yield Removal("leftover", "half-written file", name, "its writer is gone for a day", _size(seen))
        for path in sorted(Path(tempfile.gettempdir()).glob(f"{OUT}*")):
            if path.is_dir() and self._all_old(seen := _seen(path), LEFT_BY_STEP):
                yield Removal("leftover", "a killed step's files", str(path), "untouched for a week", _size(seen))

    def work(self) -> Iterator[Removal]:
        """Checkpoints of trainings that are finished, or will not be: on this machine, and their copies in a bucket."""
        finished = {one.split("/")[2] for version in self._known for one in version.references if _is_training(one)}
        current = self._trainings()

        def why(training: str, files: Sequence[Info]) -> str:
            if training in finished and self._all_old(files, LEAST_AGE):
                return "checkpoints of a finished training"
            if training not in finished | current and self._all_old(files, self._policy.keep):
                return "checkpoints of a training that nobody went on with"
            return ""

        root = work_folder(self._store, "trainings")
        for path in sorted({found.parent.parent for found in root.rglob("identity.json")}):
            if reason := why(path.name, seen := _seen(path)):
                yield Removal("work", "checkpoints", str(path), reason, _size(seen))
        for name, copies in sorted(self._copies().items()):
            if reason := why(PurePosixPath(name).name, copies):
                yield Removal("work", "copies of checkpoints", name, reason, _size(copies))

    def _copies(self) -> dict[str, list[Info]]:
        """The files of each training's checkpoints in a bucket, whole or cut off, by its folder."""
        found = defaultdict[str, list[Info]](list)
        for name, info in self._store.below(COPIES).items() if self._store.local_root is None else ():
            parents = PurePosixPath(f"{COPIES}/{name}").parents  # <training>/<step>/<file>
            found[str(parents[1])].append(info)
        return found

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

    def _all_old(self, files: Sequence[Info], age: timedelta) -> bool:
        """Whether there are some, and all were written so long ago."""
        now, least = self._now.timestamp(), age.total_seconds()
        return bool(files) and all(one.written is not None and now - one.written > least for one in files)


def _seen(path: Path) -> list[Info]:
    """A file, or a folder with the files in it, as far as they are there: others may be at work in the same place."""
    place = Folder(path.parent)
    try:
        own = place.info(path.name)
    except FileNotFoundError:
        return []
    return [own, *place.below(path.name).values()]


def _size(files: Iterable[Info]) -> int:
    return sum(one.size for one in files if one.kind == "file")


def _is_training(reference: str) -> bool:
    return reference.startswith("cache/trainings/")
