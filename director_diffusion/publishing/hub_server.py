"""A hub that is a server: the Hugging Face Hub, or any other that speaks its protocol.

Belongs here: the order of a publication's requests, and how often it is tried.  Exactly one commit comes of looking
before every attempt and of `parent_commit`: of two commits on the same parent the hub takes the first.

Files go up by LFS, whether hf_xet is installed or not: hf_xet has waits and retries of its own that nobody here can
bound, is handed the token, and writes logs.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from director_diffusion.errors import DirectorError, PublishError, TransientError
from director_diffusion.models.token import TOKEN_VARIABLE, is_well_formed
from director_diffusion.publishing.careful_client import HIDDEN, careful_client
from director_diffusion.publishing.hub_requests import (
    FAILURES,
    Failure,
    ask_about_card,
    changed,
    commit,
    commit_at_main,
    failure_of,
    files_at,
    left_over,
    tag_commit,
)
from director_diffusion.publishing.hubs import Shown, repository_files
from director_diffusion.publishing.repository import CARD

if TYPE_CHECKING:
    from huggingface_hub import HfApi

T = TypeVar("T")


@dataclass(frozen=True)
class Patience:
    """How long a publication waits, in seconds, before it is left to whoever runs it again."""

    timeout_s: float = 30.0  # of a connection, a read or a write
    attempts: int = 4
    wait_s: float = 2.0  # before the second attempt, and twice as long before each further one
    longest_wait_s: float = 60.0  # where a hub asks for more, it is not tried again


class HubServer:
    """Repositories of an endpoint."""

    def __init__(self, endpoint: str, token: str | None, *, private: bool = True, patience: Patience | None = None):
        """`private` is how repositories are made that are not there yet.

        Raises PublishError without a usable token; a malformed one would be quoted in HTTP errors.
        """
        if not token or not is_well_formed(token):
            raise PublishError(
                TOKEN_VARIABLE,
                f"is not set, or holds white space or special characters, and {endpoint} takes no files without it",
                "Set it to a token that may write there.",
            )
        self.endpoint, self.private, self.patience = endpoint.rstrip("/"), private, patience or Patience()
        self._token = token

    def put(self, repo: Path, repo_id: str, *, tag: str) -> Shown:
        """One commit on top of what main holds, tagged; what others put there stays."""
        return self._insist(repo_id, lambda api: self._put(api, repo, repo_id, tag))

    def _put(self, api: "HfApi", repo: Path, repo_id: str, tag: str) -> Shown:
        files = repository_files(repo)
        at = commit_at_main(api, repo_id)
        if at is None:
            ask_about_card(api, repo / CARD)  # before there is a repository, so that a refusal leaves no empty one
            api.create_repo(repo_id, private=self.private, exist_ok=True)
            at = commit_at_main(api, repo_id)
        there = files_at(api, repo_id, at)
        new, old = changed(files, there), left_over(api, repo_id, files, there)
        if CARD in new:
            ask_about_card(api, repo / CARD)
        if at is None or new or old:
            at = commit(api, repo_id, files, add=new, delete=old, tag=tag, parent=at)
        tag, at = tag_commit(api, repo_id, files, at=at, tag=tag)
        return self._shown(repo_id, at, tag)

    def _shown(self, repo_id: str, at: str, tag: str = "") -> Shown:
        return Shown(at, url=f"{self.endpoint}/{repo_id}/tree/{tag or at}", tag=tag)

    def _insist(self, repo_id: str, ask: Callable[["HfApi"], T]) -> T:
        """What `ask` gives, at the first attempt or a later one; it looks first at what an earlier one has done."""
        from huggingface_hub import HfApi

        wait_s = self.patience.wait_s
        with careful_client(self._token, self.patience.timeout_s):
            for attempt in range(1, self.patience.attempts + 1):
                try:
                    return ask(HfApi(endpoint=self.endpoint, token=self._token))
                except FAILURES as error:
                    failure = failure_of(error)
                pause_s = max(wait_s, failure.wait_s)
                if not failure.passing or attempt == self.patience.attempts or pause_s > self.patience.longest_wait_s:
                    break
                time.sleep(pause_s)
                wait_s *= 2
        # Raised out here, with no other error behind it: huggingface_hub's hold requests, and requests the token.
        raise self._meaning(repo_id, failure)

    def _meaning(self, repo_id: str, failure: Failure) -> DirectorError:
        thing, problem = f"{self.endpoint}/{repo_id}", failure.problem.replace(self._token, HIDDEN)
        if failure.forbidden:
            return PublishError(
                thing,
                f"may not be written with this token ({problem})",
                f"Set {TOKEN_VARIABLE} to a valid token that may write to {repo_id.partition('/')[0]}.",
            )
        if failure.passing:
            return TransientError(
                thing,
                f"could not be published ({problem})",
                "Run again: what has arrived is found, and nothing is published twice.",
            )
        return PublishError(thing, f"was refused by the hub ({problem})", "Mend what it names and run again.")
