"""Edited files: small files of the store that several people change, from pages that show what was there.

Belongs here: telling that a file is no longer what somebody was shown, and replacing it only where it still is.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from director_diffusion.errors import BusyError, ChangedError, EditError
from director_diffusion.hashing import hash_bytes
from director_diffusion.storage.lock import writer_lock
from director_diffusion.storage.store import Store

ABSENT = ""  # the mark of a file that is not there
UNREADABLE = "unreadable"  # of one that is there and cannot be read: no content has it
WAIT_S = 10.0  # for another writer, who is done in moments


def mark_of(data: bytes | None) -> str:
    """What tells a content from any other."""
    return ABSENT if data is None else hash_bytes(data)


def mark(store: Store, name: str) -> str:
    """The mark of a file as it is now."""
    return mark_of(store.read(name) if store.exists(name) else None)


def replace_unchanged(
    store: Store, lock: str, changes: Mapping[str, bytes | None], seen: Mapping[str, str], *, title: str
) -> None:
    """Write the files of those names, or delete those whose content is None, where all are still as they were `seen`.

    `lock` names what one person at a time changes.  Nothing is written unless all are unchanged; each file is replaced
    whole.  Raises ChangedError, calling what was changed `title`; EditError where another writer takes too long.
    """
    with _lock(store, lock, title):
        changed = [name for name in changes if mark(store, name) != seen[name]]
        if changed:
            raise ChangedError(
                title,
                "was changed by somebody else since it was shown"
                if len(changes) == 1
                else f"was changed by somebody else since it was shown ({len(changed)} of {len(changes)} files)",
                "Look at what is there now, then change it again.",
            )
        for name, data in changes.items():
            if data is None:
                store.delete(name)
            else:
                store.write(name, data)


def check_readable(seen: str, name: str, file: str) -> None:
    """Raise EditError for the mark of a file that could not be read: nobody knows what would be replaced.

    `name` is whose file it is, and `file` what it is and why it cannot be read.
    """
    if seen == UNREADABLE:
        raise EditError(name, f"has a {file}", "Mend or remove that file in the store.")


@contextmanager
def _lock(store: Store, lock: str, title: str) -> Iterator[None]:
    with ExitStack() as held:
        try:
            held.enter_context(writer_lock(store, f"edit/{lock}", "an editor", wait_s=WAIT_S))
        except BusyError as error:
            raise EditError(title, "cannot be changed just now, since others are being", "Try again soon.") from error
        yield
