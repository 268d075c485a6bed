"""Published before: the version that a new adapter is compared with.

Belongs here: the note of what was published, one small file for a director and recipe, and what is read of it.

    published/<recipe>/<director>.json   versions in the order in which they were published, each once
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from director_diffusion.errors import StoreError
from director_diffusion.evaluation.earlier import Before
from director_diffusion.evaluation.types import EFFECTS_FILE
from director_diffusion.sampling.rows import BASES, Sample
from director_diffusion.sampling.rows import FILE as SAMPLES_FILE
from director_diffusion.stills.learned import FILE as LEARNED_FILE
from director_diffusion.stills.learned import decode_learned, write_learned
from director_diffusion.storage import Artifact, Store
from director_diffusion.tables import read_table, write_table

FILE = "published_before.json"


@dataclass(frozen=True)
class Entry:
    """One published version."""

    adapter_version: str
    repo_id: str
    commit: str
    evaluation: str  # the store's folder of the evaluation that it was published by


def note_published(store: Store, recipe: str, director: str, entry: Entry) -> None:
    """Remember what has been published, as the newest; of a version published again, by what it was last."""
    entries = published_entries(store, recipe, director)
    if entries and entries[-1] == entry:
        return
    kept = [one for one in entries if one.adapter_version != entry.adapter_version]
    data = [asdict(one) for one in (*kept, entry)]
    store.write(_name(recipe, director), json.dumps(data, indent=1).encode())


def published_entries(store: Store, recipe: str, director: str) -> list[Entry]:
    """What has been published, oldest first.  Raises StoreError for a damaged note."""
    name = _name(recipe, director)
    if not store.exists(name):
        return []
    try:
        return [Entry(**entry) for entry in json.loads(store.read(name))]
    except (ValueError, TypeError) as error:
        raise StoreError(
            name, f"holds no published versions: {error}", "Delete it: the next publication begins it anew."
        ) from error


def write_published_before(
    store: Store, recipe: str, director: str, adapter_version: str, out: Path
) -> tuple[Entry | None, list[str]]:
    """Write into `out` the newest published version but this one, with its adapters' samples and what they learned.

    Returns it, and the store's names of its pictures.

    The version itself is passed over, so that its own publication does not make its evaluation stale.  Of one whose
    evaluation is gone there are no samples: it is not compared with, and an older one instead would say too little.
    """
    others = [one for one in published_entries(store, recipe, director) if one.adapter_version != adapter_version]
    entry = others[-1] if others else None
    samples: list[Sample] = []
    told = None
    if entry is not None:
        files = [f"{entry.evaluation}/{name}" for name in (SAMPLES_FILE, LEARNED_FILE, EFFECTS_FILE)]
        whole = all(store.exists(file) for file in files)
        told = {**asdict(entry), "drawing": json.loads(store.read(files[2]))["drawing"] if whole else ""}
        learned = decode_learned(store.read(files[1])) if whole else {}
        if whole:
            with store.local_copy(files[0]) as path:
                samples = [sample for sample in read_table(path, Sample) if sample.arm not in BASES]
        write_table(out / SAMPLES_FILE, Sample, samples)
        write_learned(out, learned)
    (out / FILE).write_text(json.dumps(told) + "\n", encoding="utf-8")
    return entry, [sample.reference for sample in samples]


def before_of(artifact: Artifact) -> Before | None:
    """What `write_published_before` wrote."""
    data = artifact.json(FILE)
    if data is None:
        return None
    learned = decode_learned(artifact.read(LEARNED_FILE))
    return Before(data["adapter_version"], data["drawing"], tuple(artifact.table(SAMPLES_FILE, Sample)), learned)


def _name(recipe: str, director: str) -> str:
    return f"published/{recipe}/{director}.json"
