"""The loopback Hub's repositories: real files in a folder, with git's hashes and commits that never change.

Belongs here: what is on disk.  No HTTP.

    lfs/<sha256>                            contents in LFS, of all repositories
    repos/<namespace>/<name>/private        there where it is
    repos/<namespace>/<name>/blobs/<sha1>   contents in git
    repos/<namespace>/<name>/commits/<sha1> a commit as JSON: parent, title, message, author, files
    repos/<namespace>/<name>/refs/<kind>/<name>
"""

import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from huggingface_hub.utils.sha import git_hash

LFS_POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n"
GIT_ATTRIBUTES = b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"


class ConflictError(Exception):
    """Somebody else was first."""


@dataclass(frozen=True)
class StoredFile:
    blob: str
    size: int
    sha256: str | None = None  # of a file in LFS


@dataclass(frozen=True)
class Commit:
    parent: str | None
    title: str
    message: str
    author: str
    files: Mapping[str, StoredFile]
    number: int  # of its ancestors: two commits of one content differ


@dataclass
class Changes:
    """What a commit does to the files of its parent."""

    files: dict[str, StoredFile] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)


class Repository:
    """One repository.  Whoever changes a ref holds `lock`."""

    def __init__(self, folder: Path, lfs: Path):
        self.folder, self.lfs, self.lock = folder, lfs, threading.RLock()

    def exists(self) -> bool:
        return (self.folder / "refs/heads/main").exists()

    @property
    def private(self) -> bool:
        return (self.folder / "private").exists()

    def create(self, *, private: bool, author: str) -> None:
        with self.lock:
            if self.exists():
                raise ConflictError("You already created this model repo")
            if private:
                write_file(self.folder / "private", b"")
            attributes = Changes({".gitattributes": self.keep(GIT_ATTRIBUTES)})
            self.commit(attributes, parent=None, title="initial commit", message="", author=author)

    def keep(self, content: bytes) -> StoredFile:
        """A content in git."""
        blob = git_hash(content)
        write_file(self.folder / "blobs" / blob, content)
        return StoredFile(blob, len(content))

    def pointer(self, sha256: str) -> StoredFile:
        """A content in LFS.  Raises KeyError where it never arrived."""
        if not self.lfs.joinpath(sha256).exists():
            raise KeyError(sha256)
        size = self.lfs.joinpath(sha256).stat().st_size
        return StoredFile(git_hash(LFS_POINTER.format(sha256, size).encode()), size, sha256)

    def commit(self, changes: Changes, *, parent: str | None, title: str, message: str, author: str) -> str:
        """A commit on main, which must be at `parent` where one is named."""
        with self.lock:
            head = self.resolve("main")
            if parent is not None and parent != head:
                raise ConflictError("A commit has happened since. Please refresh and try again.")
            before = self.read(head) if head else None
            kept = before.files if before else {}
            files = {name: file for name, file in kept.items() if name not in changes.deleted} | changes.files
            number = before.number + 1 if before else 0
            commit = Commit(head, title, message, author, dict(sorted(files.items())), number)
            content = json.dumps(asdict(commit), indent=1).encode()
            oid = hashlib.sha1(content).hexdigest()
            write_file(self.folder / "commits" / oid, content)
            write_file(self.folder / "refs/heads/main", oid.encode())
            return oid

    def tag(self, name: str, commit: str) -> None:
        with self.lock:
            if name in self.refs("tags"):
                raise ConflictError(f"Reference already exists: refs/tags/{name}")
            write_file(self.folder / "refs/tags" / name, commit.encode())

    def delete_tag(self, name: str) -> None:
        (self.folder / "refs/tags" / name).unlink()

    def refs(self, kind: str) -> dict[str, str]:
        folder = self.folder / "refs" / kind
        return {path.name: path.read_text() for path in sorted(folder.iterdir())} if folder.exists() else {}

    def resolve(self, revision: str) -> str | None:
        """The commit of a branch, a tag or a commit; None where there is none."""
        commit = self.refs("heads").get(revision) or self.refs("tags").get(revision)
        if commit is None and re.fullmatch(r"[0-9a-f]{40}", revision) and (self.folder / "commits" / revision).exists():
            return revision
        return commit

    def read(self, commit: str) -> Commit:
        data = json.loads((self.folder / "commits" / commit).read_bytes())
        return Commit(**data | {"files": {name: StoredFile(**file) for name, file in data["files"].items()}})

    def history(self, revision: str = "main") -> Iterator[tuple[str, Commit]]:
        """Commits, the newest first."""
        oid = self.resolve(revision)
        while oid is not None:
            commit = self.read(oid)
            yield oid, commit
            oid = commit.parent

    def content(self, file: StoredFile) -> bytes:
        return (self.lfs / file.sha256 if file.sha256 else self.folder / "blobs" / file.blob).read_bytes()

    def contents(self, revision: str = "main") -> dict[str, bytes]:
        """All files of a revision but .gitattributes."""
        oid = self.resolve(revision)
        assert oid is not None, f"no revision {revision}"
        return {name: self.content(f) for name, f in self.read(oid).files.items() if name != ".gitattributes"}


class Repositories:
    """All repositories below a folder."""

    def __init__(self, folder: Path):
        self.folder, self.lfs = folder, folder / "lfs"
        self._open: dict[str, Repository] = {}
        self._lock = threading.Lock()

    def __getitem__(self, repo_id: str) -> Repository:
        with self._lock:
            return self._open.setdefault(repo_id, Repository(self.folder / "repos" / repo_id, self.lfs))

    def keep_lfs(self, sha256: str, content: bytes) -> None:
        """Raises ValueError where the content is another."""
        if hashlib.sha256(content).hexdigest() != sha256:
            raise ValueError(f"content is not {sha256}")
        write_file(self.lfs / sha256, content)


def write_file(path: Path, content: bytes) -> None:
    """All of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.{threading.get_ident()}~")
    beside.write_bytes(content)
    beside.replace(path)
