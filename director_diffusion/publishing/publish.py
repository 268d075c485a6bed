"""The publication stage: a repository on its way to a hub, or withheld with a reason.

Belongs here: what a publication is and the order of its making.  What a hub does is the hubs'; whether an adapter may
go out is decided elsewhere and arrives as a reason not to.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from director_diffusion.publishing.hubs import Hub, Shown, check_name
from director_diffusion.publishing.repository import check_repo

FILE = "publication.json"


@dataclass(frozen=True)
class Publication:
    """What became of a model card."""

    status: Literal["published", "withheld"]
    reason: str  # why it was withheld, or ""
    repo_id: str
    commit: str  # with the content that the hub shows now; "" where it shows none
    folder: str  # where that content lies, relative to a folder hub; "" elsewhere
    tag: str = ""  # gives this very content for ever; "" where it was withheld
    url: str = ""  # where people look at it, on a server; "" elsewhere

    def write(self, folder: Path) -> None:
        (folder / FILE).write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "Publication":
        return cls(**json.loads((folder / FILE).read_text(encoding="utf-8")))


def publish(repo: Path, hub: Hub, repo_id: str, *, tag: str, withheld: str) -> Publication:
    """Let the hub show the repository folder `repo`, tagged `tag`; or say why not: `withheld`, where it is not "".

    Exactly one commit, and none where the hub shows this very content already.  What is withheld leaves an earlier
    publication as it was.  Raises PublishError for a folder that is no whole repository, for a name that the Hub would
    refuse and for a hub's refusal; TransientError where trying again may do.
    """
    check_name(repo_id)
    if withheld:
        earlier = hub.shown(repo_id)
        stays = f" The earlier publication {earlier.commit[:8]} stays." if earlier else ""
        return _publication(repo_id, earlier, withheld=withheld + stays)
    check_repo(repo)
    return _publication(repo_id, hub.put(repo, repo_id, tag=tag))


def _publication(repo_id: str, shown: Shown | None, withheld: str = "") -> Publication:
    return Publication(
        status="withheld" if withheld else "published",
        reason=withheld,
        repo_id=repo_id,
        commit=shown.commit if shown else "",
        folder=shown.folder if shown else "",
        tag=shown.tag if shown else "",
        url=shown.url if shown else "",
    )
