"""Hubs: what it takes to be a place where repositories are published.

Belongs here: the protocol and what all hubs share: which names they take, and that a tag never changes what it gives.
Not here: whether an adapter may go out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Protocol

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from director_diffusion.errors import PublishError

Hashes = dict[str, str]  # of a repository's files, by their names in it


@dataclass(frozen=True)
class Shown:
    """What readers of a repository see."""

    commit: str
    folder: str = ""  # where that content lies, relative to a folder hub
    url: str = ""  # where people look at it, on a server
    tag: str = ""  # gives this very content for ever; "" where nobody asked for one


class Hub(Protocol):
    """A place of repositories.  Raises PublishError, and TransientError for what may pass by itself."""

    def put(self, repo: Path, repo_id: str, *, tag: str) -> Shown:
        """Let readers see the files of the folder `repo`, all at once, also by `tag`.  Asked again, changes nothing."""


def check_name(repo_id: str) -> None:
    """Raises PublishError for a name that the Hub would refuse."""
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise PublishError(
            repo_id,
            f"is no name for a repository: {error}",
            "Mend hub_namespace, or rename the director or the recipe.",
        ) from error


def repository_files(repo: Path) -> dict[str, Path]:
    """The files of a repository's folder, by their names in the repository, in order."""
    files = sorted(path for path in repo.rglob("*") if path.is_file())
    return {path.relative_to(repo).as_posix(): path for path in files}


def tag_for(tag: str, gives_other_content: Callable[[str], bool]) -> str:
    """`tag`, or the first of `tag`-2, `tag`-3, … that gives no other content.

    A tag is what people pin, so one that somebody set on other content is left as it is.
    """
    numbered = (tag if number == 1 else f"{tag}-{number}" for number in count(1))
    return next(name for name in numbered if not gives_other_content(name))
