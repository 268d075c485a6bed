"""What a publication asks of a server, in huggingface_hub's requests, and what their failures are.

Belongs here: one question or one change each.  In which order, and how often, is `hub_server`'s to decide.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled, RepositoryNotFoundError
from huggingface_hub.utils.sha import git_hash

from director_diffusion.errors import PublishError
from director_diffusion.hashing import hash_file
from director_diffusion.publishing.careful_client import RequestError, server_words
from director_diffusion.publishing.hubs import tag_for

if TYPE_CHECKING:
    from huggingface_hub import HfApi

TITLE = "Publish adapter"  # how our commits begin; their descriptions name the files that they are of
GIT_ATTRIBUTES = ".gitattributes"  # the hub's own: which files are in LFS
RACED = frozenset({409, 412})  # somebody else was first, perhaps an attempt of ours whose answer was lost

# What huggingface_hub raises where the hub does not answer as asked: ValueError and KeyError for answers that cannot be
# read, RuntimeError around what went wrong in one of several uploads.
FAILURES = (RequestError, HfHubHTTPError, OfflineModeIsEnabled, ValueError, KeyError, RuntimeError)


@dataclass(frozen=True)
class Failure:
    """A failed attempt, with nothing of its requests."""

    problem: str
    passing: bool = True  # whether another attempt may do; this one may even have been obeyed
    forbidden: bool = False  # the token may not do this
    wait_s: float = 0.0  # how long the hub asks to be left alone


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository as the hub tells it."""

    blob: str  # git's hash of it, or of the pointer to it
    sha256: str | None  # of a file in LFS

    def is_like(self, path: Path) -> bool:
        return hash_file(path) == self.sha256 if self.sha256 else git_hash(path.read_bytes()) == self.blob


def failure_of(error: BaseException) -> Failure:
    """What one of FAILURES means."""
    if isinstance(error, RequestError):
        return Failure(error.problem, not error.forbidden, error.forbidden, error.wait_s)
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        words = " ".join((error.server_message or "").split())
        return Failure(f"HTTP {status}, {words}" if words else f"HTTP {status}", passing=status in RACED)
    if isinstance(error, OfflineModeIsEnabled):
        return Failure("huggingface_hub is in offline mode: unset HF_HUB_OFFLINE", passing=False)
    if isinstance(error.__cause__, FAILURES):
        return failure_of(error.__cause__)
    return Failure(f"an answer that cannot be read: {error}")


def commit_at_main(api: "HfApi", repo_id: str) -> str | None:
    """None where there is no such repository, or nothing in it."""
    try:
        return api.model_info(repo_id).sha
    except RepositoryNotFoundError:
        return None


def files_at(api: "HfApi", repo_id: str, commit: str | None) -> dict[str, RemoteFile]:
    """The files of a commit, by name; none of None."""
    from huggingface_hub import RepoFile

    if commit is None:
        return {}
    entries = api.list_repo_tree(repo_id, recursive=True, revision=commit)
    files = [entry for entry in entries if isinstance(entry, RepoFile)]
    return {file.path: RemoteFile(file.blob_id, file.lfs.sha256 if file.lfs else None) for file in files}


def changed(files: Mapping[str, Path], there: Mapping[str, RemoteFile]) -> list[str]:
    """Names of the files whose content is not `there`."""
    return [name for name, path in files.items() if name not in there or not there[name].is_like(path)]


def left_over(api: "HfApi", repo_id: str, files: Mapping[str, Path], there: Mapping[str, RemoteFile]) -> list[str]:
    """Names of files that a commit of ours brought and that are no longer ours; what others added is not among them."""
    strangers = there.keys() - files.keys() - {GIT_ATTRIBUTES}
    if not strangers:
        return []
    ours = (entry.message for entry in api.list_repo_commits(repo_id) if entry.title.startswith(TITLE))
    return sorted(strangers & {line.strip() for line in next(ours, "").splitlines()})


def ask_about_card(api: "HfApi", card: Path) -> None:
    """Raises PublishError, in the hub's words, where it would refuse the card's metadata."""
    from huggingface_hub import get_session, hf_raise_for_status
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    response = get_session().post(
        f"{api.endpoint}/api/validate-yaml",
        json={"content": card.read_text(encoding="utf-8"), "repoType": "model"},
        headers=build_hf_headers(token=api.token),
    )
    if response.status_code == 400:
        raise PublishError(
            card.name,
            f"has metadata that the hub refuses: {server_words(response)}",
            "Mend the director's or the base's file, and materialize the model card again.",
        )
    hf_raise_for_status(response)


def commit(
    api: "HfApi",
    repo_id: str,
    files: Mapping[str, Path],
    *,
    add: Sequence[str],
    delete: Sequence[str],
    tag: str,
    parent: str | None,
) -> str:
    """One commit on `parent`, refused by the hub (412) where main is no longer there.  Gives the hash of the commit.

    Raises PublishError before there is one if it would not hold all files.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    with ExitStack() as stack:
        # Open files, since those are what huggingface_hub never gives to hf_xet.
        additions = [CommitOperationAdd(name, stack.enter_context(files[name].open("rb"))) for name in add]
        api.preupload_lfs_files(repo_id, additions, free_memory=False)
        left_out = [addition.path_in_repo for addition in additions if addition._should_ignore]
        if left_out:
            raise PublishError(
                f"{api.endpoint}/{repo_id}",
                f"has a .gitignore by which the hub would leave out {', '.join(left_out)}",
                "Take those lines out of it.",
            )
        return api.create_commit(
            repo_id,
            [*additions, *(CommitOperationDelete(name, is_folder=False) for name in delete)],
            commit_message=f"{TITLE} {tag}",
            commit_description="\n".join(files),  # for `left_over`
            parent_commit=parent,
        ).oid


def tag_commit(api: "HfApi", repo_id: str, files: Mapping[str, Path], *, at: str, tag: str) -> tuple[str, str]:
    """The tag that gives `files` and the commit it is at: `at`, or an earlier one that holds them as well."""
    targets = {ref.name: ref.target_commit for ref in api.list_repo_refs(repo_id).tags}

    def gives_other_content(name: str) -> bool:
        target = targets.get(name, at)
        return target != at and bool(changed(files, files_at(api, repo_id, target)))

    name = tag_for(tag, gives_other_content)
    if name not in targets:
        api.create_tag(repo_id, tag=name, revision=at)
    return name, targets.get(name, at)
