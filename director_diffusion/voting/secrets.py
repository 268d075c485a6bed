"""Secrets: the booth's key, and what is made with it.

Belongs here: the one key that never leaves the server, the marks that only its holder can make, and who votes, as
nobody can read it.
"""

import hmac
import os
import secrets
from contextlib import suppress
from pathlib import Path

from director_diffusion.errors import LedgerError

KEY_BYTES = 32


class Marks:
    """Marks by HMAC-SHA-256: who lacks the key can neither make one nor learn anything from it."""

    def __init__(self, key: bytes):
        if len(key) < KEY_BYTES:
            raise LedgerError("the booth's key", f"has {len(key)} bytes", f"Give {KEY_BYTES} random ones or more.")
        self._key = key

    def __repr__(self) -> str:
        return "Marks()"  # no traceback and no log shows the key

    def mark(self, purpose: str, *parts: str) -> bytes:
        """32 bytes, of which each purpose and each sequence of parts has its own."""
        framed = b"".join(len(part).to_bytes(8) + part for part in (text.encode() for text in (purpose, *parts)))
        return hmac.digest(self._key, framed, "sha256")


def key_at(path: Path) -> bytes:
    """The key in a file, which is made where there is none, for its owner's eyes alone; of several makers one wins.

    Whoever loses it lets everybody vote once more on every pair: pseudonyms of voters are made with it.
    """
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f".part-{secrets.token_hex(8)}")
            try:
                with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123
                    file.write(secrets.token_hex(KEY_BYTES))
                    file.flush()
                    os.fsync(file.fileno())
                with suppress(FileExistsError):  # another process was first
                    os.link(partial, path)
            finally:
                partial.unlink(missing_ok=True)
        return bytes.fromhex(path.read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        problem = error.strerror if isinstance(error, OSError) else "it holds none"
        raise LedgerError(
            f"the booth's key {path}", f"cannot be read or made: {problem}", "Give this user access to it."
        ) from error
