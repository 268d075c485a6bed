"""The publication stage: a repository on its way to a hub, or withheld with a reason.

Belongs here: what a publication is and the order of its making.  What a hub does is the hubs'; whether an adapter may
go out is decided elsewhere and arrives as a reason not to.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from director_diffusion.publishing.hubs import Hub, check_name
from director_diffusion.publishing.repository import check_repo

FILE = "publication.json"
SHOWN = 8  # digits of a commit that people are told


@dataclass(frozen=True)
class Publication:
    """What became of a model card."""

    status: Literal["published", "withheld"]
    reason: str  # why it was withheld, or ""
    repo_id: str
    commit: str  # with the content that was published last; "" where nothing was
    folder: str  # where what was published now lies, relative to a folder hub; "" elsewhere
    tag: str = ""  # gives this very content for ever; "" where it was withheld
    url: str = ""  # where people look at it, on a server; "" elsewhere

    def write(self, folder: Path) -> None:
        (folder / FILE).write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "Publication":
        return cls(**json.loads((folder / FILE).read_text(encoding="utf-8")))


def publish(repo: Path, hub: Hub, repo_id: str, *, tag: str) -> Publication:
    """Let the hub show the repository folder `repo`, tagged `tag`.

    Exactly one commit, and none where the hub shows this very content already.  Raises PublishError for a folder that
    is no whole repository, for a name that the Hub would refuse and for a hub's refusal; TransientError where trying
    again may do.
    """
    check_name(repo_id)
    check_repo(repo)
    shown = hub.put(repo, repo_id, tag=tag)
    return Publication("published", "", repo_id, shown.commit, shown.folder, shown.tag, shown.url)


def withhold(repo_id: str, reason: str, *, earlier: str) -> Publication:
    """Say why not, without a look at any hub; `earlier` is the commit of what was published before, or "".  It stays.

    Raises PublishError for a name that the Hub would refuse.
    """
    check_name(repo_id)
    stays = f" The earlier publication {earlier[:SHOWN]} stays." if earlier else ""
    return Publication("withheld", f"{reason}{stays}", repo_id, earlier, "")
