"""Words: where a store keeps what was written and seen of a still, beside the tables that were made of it.

Belongs here: people's captions and decisions, the captioner's answers and encoders' vectors.
"""

from collections.abc import Iterable
from pathlib import PurePosixPath

from director_diffusion.captions.written import named
from director_diffusion.stills.decisions import SUFFIX
from director_diffusion.stills.raw import FOLDER
from director_diffusion.storage import Artifact, Store
from director_diffusion.storage.ancestry import Ancestry
from director_diffusion.tracing.tables import rows_of


def seen_of(store: Store, stills: Iterable[str]) -> set[str]:
    """What models made of the stills of these ids: the captioner's answers, of any asking, and encoders' vectors."""
    starts = tuple(f"{still}." for still in stills if still)
    return {
        f"cache/{kind}/{fingerprint}/{name}"
        for kind in ("captions", "embeddings")
        for fingerprint in store.names(f"cache/{kind}")
        for name in store.names(f"cache/{kind}/{fingerprint}")
        if name.startswith(starts)
    }


def files_of_people(store: Store, director: str, film: str, file: str) -> set[str]:
    """The captions and decisions beside the still of that name."""
    wanted, decision = named(film, PurePosixPath(file).stem), named(film, file + SUFFIX)
    folders = [f"{FOLDER}/{director}/{film}", *([f"{FOLDER}/{director}"] if film == director else [])]
    return {
        f"{folder}/{name}"
        for folder in folders
        if store.is_folder(folder)
        for name in store.names(folder)
        if (name.lower().endswith(".txt") and named(film, PurePosixPath(name).stem) == wanted)
        or named(film, name) == decision
    }


def written_of(ancestry: Ancestry, director: str, film: str, file: str) -> list[Artifact]:
    """The artifacts that keep what people wrote of the still of that name."""
    wanted = named(film, PurePosixPath(file).stem)
    return [
        artifact
        for artifact in ancestry.of(("written_captions",), director)
        if any(named(row["film"], row["stem"]) == wanted for row in rows_of(artifact) or ())
    ]
