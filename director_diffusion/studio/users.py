"""Users: who may come in where the studio is open to a network.

Belongs here: the file of names and password hashes, a line `name: scrypt$<n>$<r>$<p>$<salt>$<hash>` each.
"""

import hashlib
import hmac
import logging
import os
import secrets
import threading
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from director_diffusion.errors import SpecError, VoteError
from director_diffusion.voting.given import PASS, checked_voter

N, R, P = 2**14, 8, 1  # 16 MiB and some 50 ms a guess
_SALT, _HASH = 16, 32  # bytes
_MOST_PASSWORD = 1024  # characters

log = logging.getLogger(__name__)


class Users:
    """Names with their password hashes.  It may be shared by threads."""

    def __init__(self, hashes: Mapping[str, str]):
        self._hashes = dict(hashes)
        self._nobody = hashed(secrets.token_hex(8))  # asked for names that there are not: they take as long
        self._key, self._seen = secrets.token_bytes(32), dict[bytes, str]()  # and the hash that they were right of

    def remembers(self, name: str, password: str) -> bool:
        """Whether they were right before, told at once."""
        seen = self._seen.get(self._mark(name, password))
        return seen is not None and seen == self._hashes.get(name)

    def knows(self, name: str, password: str) -> bool:
        """Whether they belong together, told by hashing; who is right is remembered."""
        if len(password) > _MOST_PASSWORD:
            return False
        kept = self._hashes.get(name)
        right = is_of(password, kept or self._nobody) and kept is not None
        if right and kept is not None:
            self._seen[self._mark(name, password)] = kept
        return right

    def _mark(self, name: str, password: str) -> bytes:
        return hmac.digest(self._key, f"{len(name)} {name}{password}".encode(errors="surrogatepass"), "sha256")


class FileUsers(Users):
    """Those of a file as it is now: a line that is added, changed or deleted counts from the next request on.

    A file that has become none of users lets nobody in until it is mended, and the log says why.
    """

    def __init__(self, path: Path):
        """Raises SpecError, naming the line, for what is no file of users, and for one that names nobody."""
        self._path, self._reading, self._state = path, threading.Lock(), _state(path)
        hashes = hashes_in(path)
        if not hashes:
            raise SpecError(str(path), "names nobody", "Make lines by: director app-user NAME --users FILE")
        super().__init__(hashes)

    def remembers(self, name: str, password: str) -> bool:
        """As `Users`'; nobody is remembered until a file that has changed is read again, by `knows`."""
        return self._state == _state(self._path) and super().remembers(name, password)

    def knows(self, name: str, password: str) -> bool:
        """As `Users`'."""
        with self._reading:
            if (state := _state(self._path)) != self._state:
                self._hashes, self._state = self._read_again(), state
        return super().knows(name, password)

    def _read_again(self) -> dict[str, str]:
        try:
            return hashes_in(self._path)
        except SpecError as error:
            log.error("nobody can come in: %s", error)
            return {}


def read_users(path: Path) -> Users:
    """The users of a file, as `FileUsers`."""
    return FileUsers(path)


def hashes_in(path: Path) -> dict[str, str]:
    """Its password hashes by name.  Raises SpecError, naming the line, for what is no file of users."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        problem = (error.strerror if isinstance(error, OSError) else None) or "it is no text"
        raise SpecError(
            str(path), f"cannot be read: {problem}", "Make it: director app-user NAME --users FILE"
        ) from error
    hashes: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, kept = (part.strip() for part in line.partition(":"))
        if not is_name(name) or name in hashes or not _is_hash(kept):
            problem = "has a name that was there before" if name in hashes else "is no `name: hash`"
            raise SpecError(f"{path}, line {number}", problem, "Make lines by: director app-user NAME --users FILE")
        hashes[name] = kept
    return hashes


def add_user(path: Path, name: str, password: str) -> None:
    """Add a line to the file, which is made for its owner's eyes alone.  Raises OSError where it cannot be written."""
    with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "a+", encoding="utf-8") as file:  # noqa: PTH123
        file.seek(0)
        text = file.read()
        file.write("\n" if text and not text.endswith("\n") else "")
        file.write(f"{name}: {hashed(password)}\n")


def is_name(name: str) -> bool:
    """Whether somebody may be called so: a voter's name, and none that a pass may have."""
    try:
        return not checked_voter(name).startswith(PASS)
    except VoteError:
        return False


def hashed(password: str) -> str:
    """What a file keeps of a password."""
    salt = secrets.token_bytes(_SALT)
    return f"scrypt${N}${R}${P}${salt.hex()}${_scrypt(password, salt, N, R, P).hex()}"


def is_of(password: str, kept: str) -> bool:
    """Whether a hash is this password's, told in constant time."""
    _, n, r, p, salt, digest = kept.split("$")
    found = _scrypt(password, bytes.fromhex(salt), int(n), int(r), int(p))
    return hmac.compare_digest(found, bytes.fromhex(digest))


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    data = password.encode(errors="surrogatepass")
    return hashlib.scrypt(data, salt=salt, n=n, r=r, p=p, maxmem=2**28, dklen=_HASH)


def _state(path: Path) -> tuple[int, ...] | None:
    """What differs once it is written anew; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


@lru_cache(10_000)  # it takes as long as a guess, and a file that is read again has mostly the same lines
def _is_hash(kept: str) -> bool:
    try:
        is_of("", kept)
        kind, *_, salt, digest = kept.split("$")
        return kind == "scrypt" and len(bytes.fromhex(salt)) >= _SALT and len(bytes.fromhex(digest)) == _HASH
    except ValueError:
        return False
