"""Sign-offs: a person answers with their name for an adapter that its verdict would withhold.

Belongs here: the record of a director and recipe, to which entries are only ever added, and what of it holds.  What a
sign-off does is `decision`'s.

    sign_offs/<recipe>/<director>.json

A sign-off is for one adapter version: the SHA-256 of the adapter's weights file.  The next training, or another pick,
makes another version, for which nobody has answered.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from director_diffusion.errors import PublishError, StoreError
from director_diffusion.storage.lock import writer_lock
from director_diffusion.storage.store import Store

FILE = "sign_off.json"
SHOWN = 12  # digits of a version that people are shown; commands take a version's first digits
WAIT_S = 10.0  # for another writer, who is done in moments


@dataclass(frozen=True)
class SignOff:
    """One entry of the record."""

    act: Literal["signed off", "taken back"]
    adapter_version: str
    who: str
    why: str
    date: str  # ISO 8601, UTC


def sign_off_name(recipe: str, director: str) -> str:
    """The store's name of the record."""
    return f"sign_offs/{recipe}/{director}.json"


def read_sign_offs(store: Store, recipe: str, director: str) -> tuple[SignOff, ...]:
    """All entries, the oldest first.  Raises StoreError for a file that holds none."""
    name = sign_off_name(recipe, director)
    return decode_sign_offs(store.read(name).decode(), name) if store.exists(name) else ()


def add_sign_off(store: Store, recipe: str, director: str, entry: SignOff) -> None:
    """Add an entry.  Raises PublishError where there is nothing to take back, BusyError while another adds one."""
    name = sign_off_name(recipe, director)
    with writer_lock(store, name, "director sign-off", wait_s=WAIT_S):
        entries = read_sign_offs(store, recipe, director)
        if entry.act == "taken back" and sign_off_for(entries, entry.adapter_version) is None:
            raise PublishError(
                f"{director} by {recipe}",
                f"has no sign-off for adapter {entry.adapter_version[:SHOWN]}",
                "There is nothing to take back.",
            )
        store.write(name, encode_sign_offs((*entries, entry)).encode())


def sign_off_for(entries: Sequence[SignOff], version: str) -> SignOff | None:
    """The sign-off that holds for an adapter version: the newest entry about it, unless that one took it back."""
    newest = next((entry for entry in reversed(entries) if entry.adapter_version == version), None)
    return newest if newest is not None and newest.act == "signed off" else None


def standing(entries: Sequence[SignOff]) -> tuple[SignOff, ...]:
    """What holds, an entry for each version: the record's content as an input, which its history is not."""
    found = (sign_off_for(entries, version) for version in dict.fromkeys(entry.adapter_version for entry in entries))
    return tuple(entry for entry in found if entry is not None)


def encode_sign_offs(entries: Sequence[SignOff]) -> str:
    """As text."""
    return json.dumps([asdict(entry) for entry in entries], indent=1, ensure_ascii=False) + "\n"


def decode_sign_offs(text: str, name: str) -> tuple[SignOff, ...]:
    """The inverse; `name` is what an error calls the text."""
    try:
        return tuple(SignOff(**entry) for entry in json.loads(text))
    except (ValueError, TypeError) as error:
        raise StoreError(
            name, f"holds no sign-offs: {error}", "Put back what was there, or delete the file."
        ) from error
