"""A hub that is a folder, local or on an object store.

Belongs here: its layout, which is that of huggingface_hub's own cache, so that its users, diffusers among them, read
from it by repository id:

    models--<namespace>--<name>/snapshots/<commit>/<files>   written first, never changed
    models--<namespace>--<name>/refs/<tag>                   the commit that a tag gives
    models--<namespace>--<name>/refs/main                    replaced last: the commit that readers see

`pipe.load_lora_weights(repo_id, weight_name="pytorch_lora_weights.safetensors", cache_dir=<the folder>,
local_files_only=True)` loads what was published.
"""

from dataclasses import dataclass
from pathlib import Path

from huggingface_hub.file_download import repo_folder_name

from director_diffusion.hashing import hash_folder
from director_diffusion.publishing.hubs import Shown, repository_files, tag_for
from director_diffusion.storage import Store

COMMIT_DIGITS = 40  # as in git, which is what huggingface_hub takes for a commit


@dataclass(frozen=True)
class FolderHub:
    """Repositories below the folder of a store."""

    store: Store

    def shown(self, repo_id: str) -> Shown | None:
        root = _root(repo_id)
        commit = self._commit_at(root, "main")
        return Shown(commit, folder=f"{root}/snapshots/{commit}") if commit else None

    def put(self, repo: Path, repo_id: str, *, tag: str) -> Shown:
        """Readers see the old commit or the new one, never a part.  A commit is the hash of its content."""
        root, commit = _root(repo_id), hash_folder(repo)[:COMMIT_DIGITS]
        for name, path in repository_files(repo).items():
            place = f"{root}/snapshots/{commit}/{name}"
            if not self.store.exists(place):
                self.store.put(path, place)
        tag = tag_for(tag, lambda name: self._commit_at(root, name) not in ("", commit))
        for ref in (tag, "main"):
            if self._commit_at(root, ref) != commit:
                self.store.write(f"{root}/refs/{ref}", commit.encode())
        return Shown(commit, folder=f"{root}/snapshots/{commit}", tag=tag)

    def _commit_at(self, root: str, ref: str) -> str:
        place = f"{root}/refs/{ref}"
        return self.store.read(place).decode().strip() if self.store.exists(place) else ""


def _root(repo_id: str) -> str:
    return repo_folder_name(repo_id=repo_id, repo_type="model")
