"""The publication stage: a repository on its way to a hub, or withheld with a reason.

Belongs here: when an adapter may be published, and a hub that is a folder.  The folder is laid out like
huggingface_hub's own cache, so that its users, diffusers among them, read from it by repository id:

    models--<namespace>--<name>/snapshots/<commit>/<files>   written first, never changed
    models--<namespace>--<name>/refs/main                    replaced last: the commit that readers see

`pipe.load_lora_weights(repo_id, weight_name="pytorch_lora_weights.safetensors", cache_dir=<the folder>,
local_files_only=True)` loads what was published.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from huggingface_hub.errors import HFValidationError
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from director_diffusion.errors import PublishError
from director_diffusion.evaluation.types import Verdict
from director_diffusion.hashing import hash_folder
from director_diffusion.publishing.card import check_repo
from director_diffusion.storage import Store

FILE = "publication.json"
COMMIT_DIGITS = 40  # as in git, which is what huggingface_hub takes for a commit


@dataclass(frozen=True)
class Publication:
    """What became of a model card."""

    status: Literal["published", "withheld"]
    reason: str  # why it was withheld, or ""
    repo_id: str
    commit: str  # hash of the content that the hub shows now; "" where it shows none
    folder: str  # where that content lies, relative to the hub; "" where there is none

    def write(self, folder: Path) -> None:
        (folder / FILE).write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "Publication":
        return cls(**json.loads((folder / FILE).read_text(encoding="utf-8")))


def publish_to_folder(repo: Path, hub: Store, repo_id: str, verdict: Verdict) -> Publication:
    """Put the repository folder `repo` into the folder hub if its verdict passes, else say why it is withheld.

    Readers see the old commit or the new one, never a part.  Where the hub shows this very content already, nothing is
    written.  What is withheld leaves an earlier publication as it was.  Raises PublishError for a folder that is no
    whole repository and for a name that the Hub would refuse.
    """
    root = _root(repo_id)
    shown = hub.read(f"{root}/refs/main").decode().strip() if hub.exists(f"{root}/refs/main") else ""
    if verdict.outcome != "pass":
        return _publication(hub, root, repo_id, shown, withheld=_reason(verdict, shown))
    check_repo(repo)
    commit = hash_folder(repo)[:COMMIT_DIGITS]
    for path in sorted(path for path in repo.rglob("*") if path.is_file()):
        name = f"{root}/snapshots/{commit}/{path.relative_to(repo).as_posix()}"
        if not hub.exists(name):
            hub.put(path, name)
    if shown != commit:
        hub.write(f"{root}/refs/main", commit.encode())
    return _publication(hub, root, repo_id, commit)


def _publication(hub: Store, root: str, repo_id: str, commit: str, withheld: str = "") -> Publication:
    return Publication(
        status="withheld" if withheld else "published",
        reason=withheld,
        repo_id=repo_id,
        commit=commit,
        folder=f"{root}/snapshots/{commit}" if commit else "",
    )


def _reason(verdict: Verdict, shown: str) -> str:
    found = "; ".join(reason for reason in verdict.reasons if not reason.startswith("pass"))
    earlier = f". The earlier publication {shown[:8]} stays" if shown else ""
    return f"The verdict is {verdict.outcome} ({found}){earlier}."


def _root(repo_id: str) -> str:
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise PublishError(
            repo_id,
            f"is no name for a repository: {error}",
            "Mend hub_namespace, or rename the director or the recipe.",
        ) from error
    return repo_folder_name(repo_id=repo_id, repo_type="model")
