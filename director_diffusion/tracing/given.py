"""What is given to be traced: an adapter's file, alone or in a repository, and all that it says of itself.

Belongs here: reading that, with no store at hand.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from director_diffusion.errors import PublishError
from director_diffusion.hashing import hash_file
from director_diffusion.publishing.folder_hub import FolderHub
from director_diffusion.publishing.hubs import check_name
from director_diffusion.publishing.inputs import LOKR_WEIGHTS
from director_diffusion.storage import Store
from director_diffusion.training.header import read_header
from director_diffusion.training.rows import WEIGHTS

PROVENANCE, EVALUATION = "provenance.json", "evaluation.json"
FILES = (PROVENANCE, EVALUATION, LOKR_WEIGHTS, WEIGHTS)  # of a repository, what a trace reads


@dataclass(frozen=True)
class Given:
    """An adapter, as it was handed over."""

    name: str
    sha256: str  # of its file
    header: Mapping[str, str]
    provenance: Mapping[str, Any] | None  # of a repository
    evaluation: Mapping[str, Any] | None

    @property
    def versions(self) -> list[str]:
        """Adapter versions that this may be: the file's own hash, that which an export tells, the provenance's."""
        return [version for version in dict.fromkeys((*self._own, self._told)) if version]

    @property
    def altered(self) -> str:
        """In a sentence, that a repository's weights are not those that it tells of; "" where they are."""
        if not self._told or self._told in self._own:
            return ""
        return (
            "The weights are not those that provenance.json tells of: "
            f"their SHA-256 is {self.sha256}, and it tells of {self._told}."
        )

    @property
    def _own(self) -> tuple[str, str]:
        return self.sha256, self.header.get("adapter_sha256", "")

    @property
    def _told(self) -> str:
        return str((self.provenance or {}).get("adapter", {}).get("sha256", ""))

    def says(self, name: str) -> str:
        """An entry of the header that training wrote; "" where there is none."""
        header = (self.provenance or {}).get("adapter", {}).get("header", {})
        return str(self.header.get(name) or header.get(name) or "")


def given_file(path: Path) -> Given:
    """Of a file.  Raises ModelError where it is no safetensors file."""
    return Given(str(path), hash_file(path), read_header(path), None, None)


def given_repository(folder: Path, name: str) -> Given:
    """Of a repository's folder.  Raises PublishError where it holds no adapter of this project's."""
    weights = next((folder / file for file in (LOKR_WEIGHTS, WEIGHTS) if (folder / file).is_file()), None)
    if weights is None:
        raise PublishError(name, f"holds no adapter ({WEIGHTS})", "Give a published repository, or an adapter's file.")
    return Given(
        name, hash_file(weights), read_header(weights), *(_json(folder / file) for file in (PROVENANCE, EVALUATION))
    )


def check_repository(repo_id: str, hub: str) -> None:
    """Raises PublishError for what cannot name a repository of ours, such as a file's path that is spelt wrongly."""
    try:
        check_name(repo_id)
    except PublishError as error:
        raise _nothing(repo_id, hub) from error
    if "/" not in repo_id:
        raise _nothing(repo_id, hub)


def copy_from_folder(hub: Store, repo_id: str, folder: Path, files: Collection[str]) -> None:
    """Copy those of `files` that a repository of a folder hub has.  Raises PublishError where there is none."""
    shown = FolderHub(hub).shown(repo_id)
    if shown is None:
        raise _nothing(repo_id, hub.url)
    for name in files:
        if hub.exists(f"{shown.folder}/{name}"):
            (folder / name).write_bytes(hub.read(f"{shown.folder}/{name}"))


def _nothing(given: str, hub: str) -> PublishError:
    return PublishError(
        given, f"is no file, no folder and no repository of the hub {hub}", "Look whether it is spelt so."
    )


def _json(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise PublishError(str(path), f"cannot be read: {error}", "Get the repository again.") from error
    return data if isinstance(data, dict) else None
