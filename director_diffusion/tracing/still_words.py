"""Words: where a store keeps what was written of a still, beside the tables that were made of it.

Belongs here: people's caption files, and the captioner's answers.
"""

from collections.abc import Iterable
from pathlib import PurePosixPath

from director_diffusion.captions.written import named
from director_diffusion.stills.raw import FOLDER
from director_diffusion.storage import Artifact, Store
from director_diffusion.storage.ancestry import Ancestry
from director_diffusion.tracing.tables import rows_of


def answers_about(store: Store, stills: Iterable[str]) -> set[str]:
    """The captioner's answers about these ids, of any asking."""
    starts = tuple(f"{still}." for still in stills if still)
    return {
        f"cache/captions/{fingerprint}/{name}"
        for fingerprint in store.names("cache/captions")
        for name in store.names(f"cache/captions/{fingerprint}")
        if name.startswith(starts)
    }


def caption_files(store: Store, director: str, film: str, file: str) -> set[str]:
    """The `.txt` files beside the still of that name."""
    wanted = named(film, PurePosixPath(file).stem)
    folders = [f"{FOLDER}/{director}/{film}", *([f"{FOLDER}/{director}"] if film == director else [])]
    return {
        f"{folder}/{name}"
        for folder in folders
        if store.is_folder(folder)
        for name in store.names(folder)
        if name.lower().endswith(".txt") and named(film, PurePosixPath(name).stem) == wanted
    }


def written_of(ancestry: Ancestry, director: str, film: str, file: str) -> list[Artifact]:
    """The artifacts that keep what people wrote of the still of that name."""
    wanted = named(film, PurePosixPath(file).stem)
    return [
        artifact
        for artifact in ancestry.of(("written_captions",), director)
        if any(named(row["film"], row["stem"]) == wanted for row in rows_of(artifact) or ())
    ]
