"""Who may do what on the loopback Hub: one token, and URLs of its storage that are signed.

Belongs here: what every answer asks first.
"""

import hashlib
import hmac
from pathlib import Path

from tests.loopback_hub.calls import Answer, Call, RefusedError
from tests.loopback_hub.repositories import Repositories, Repository

SECRET = b"what storage URLs and xet tokens are signed with"


class Access:
    """The repositories and the way to them.  `token` may read all and write to `namespaces`."""

    def __init__(self, folder: Path, token: str, namespaces: tuple[str, ...]):
        self.repositories = Repositories(folder)
        self.token, self.namespaces = token, namespaces
        self.endpoint = ""  # known once the server listens

    @property
    def lfs(self) -> Path:
        """Where contents in LFS lie, by sha256."""
        return self.repositories.lfs

    def known(self, call: Call) -> bool:
        """Whether the caller is logged in."""
        given = call.headers.get("authorization")
        if given is None:
            return False
        if given != f"Bearer {self.token}":
            raise RefusedError(Answer.error(401, "Invalid credentials in Authorization header"))
        return True

    def check_writable(self, call: Call, repo_id: str) -> None:
        if not self.known(call):
            raise RefusedError(Answer.error(401, "Invalid username or password."))
        if repo_id.partition("/")[0] not in self.namespaces:
            raise RefusedError(Answer.error(403, f"You don't have the rights to write to {repo_id.partition('/')[0]}"))

    def repository(self, call: Call, repo_id: str, *, write: bool = False) -> Repository:
        known, repository = self.known(call), self.repositories[repo_id]
        if not repository.exists() or (repository.private and not known):
            raise RefusedError(Answer.error(404 if known else 401, "Repository not found", "RepoNotFound"))
        if write:
            self.check_writable(call, repo_id)
        return repository

    def commit_at(self, repository: Repository, revision: str) -> str:
        commit = repository.resolve(revision)
        if commit is None:
            raise RefusedError(Answer.error(404, f"Invalid rev id: {revision}", "RevisionNotFound"))
        return commit

    def signed(self, path: str) -> str:
        return f"{self.endpoint}{path}?signature={signature(path)}"

    def check_signed(self, call: Call) -> None:
        """As S3 does: who has the URL may write, and a second kind of authorisation is refused."""
        if not hmac.compare_digest(call.query.get("signature", ""), signature(call.path)):
            raise RefusedError(Answer(403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>"))
        if "authorization" in call.headers:
            raise RefusedError(Answer(400, b"<Error>Only one auth mechanism allowed</Error>"))


def signature(path: str) -> str:
    return hmac.new(SECRET, path.encode(), hashlib.sha256).hexdigest()
