"""Landing: stills and their captions into a director's films in the store.

Belongs here: that a file arrives whole or not at all, that one that is there already stays as it is, and the account
of it.  Where pictures come from is each source's (`kohya`, `imagefolder`, `film`).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from director_diffusion.errors import ChangedError
from director_diffusion.exchange.incoming import Incoming, unusable_name, without_words
from director_diffusion.progress import Progress, track
from director_diffusion.stills.decode import UndecodableError, decode
from director_diffusion.stills.raw import FOLDER, MAX_CAPTION_BYTES, MAX_FILE_BYTES
from director_diffusion.storage import Store
from director_diffusion.storage.edited import ABSENT, replace_unchanged

Why = tuple[str, str]
"""A file, and the reason."""


@dataclass
class Account:
    """What came of an import."""

    taken: int = 0  # stills
    same: int = 0  # stills that were there with the same content
    captions: int = 0  # written
    same_captions: int = 0
    without_caption: int = 0  # of the stills that are there now
    stripped: int = 0  # captions that began with the words to be left out
    left_out: list[Why] = field(default_factory=list)  # no still, or no usable one
    refused: list[Why] = field(default_factory=list)  # another file of that name is there: somebody must decide


class Landing:
    """Puts files into the films of one director, one by one."""

    def __init__(self, store: Store, director: str):
        self._store, self._director = store, director
        self._stems: dict[str, dict[str, str]] = {}  # by film, which stills are there
        self.account = Account()

    def still(self, film: str, name: str, data: bytes, caption: str | None, *, source: str) -> None:
        """A still's file with its caption, told of as `source`."""
        account, place = self.account, f"{FOLDER}/{self._director}/{film}"
        stems = self._known(film)
        beside = stems.get(PurePosixPath(name).stem)
        if beside is not None and beside != name:
            account.refused.append((source, f"would share its caption with {place}/{beside}"))
            return
        came = self._put(f"{place}/{name}", data)
        if came == "other":
            account.refused.append((source, f"{place}/{name} is there with another content"))
            return
        stems[PurePosixPath(name).stem] = name
        account.taken += came == "taken"
        account.same += came == "same"
        self._caption(f"{place}/{PurePosixPath(name).stem}.txt", caption, source)

    def _caption(self, name: str, caption: str | None, source: str) -> None:
        account, text = self.account, " ".join((caption or "").split())
        problem = _unusable(text)
        if problem:
            account.left_out.append((f"the caption of {source}", problem))
        if not text or problem:
            account.without_caption += 1
            return
        came = self._put(name, f"{text}\n".encode())
        if came == "other":
            account.refused.append((f"the caption of {source}", f"{name} is there with other words"))
        account.captions += came == "taken"
        account.same_captions += came == "same"

    def _put(self, name: str, data: bytes) -> str:
        """ "taken"; "same" where it is there with that content; "other" where something else is there."""
        if not self._store.exists(name):
            try:
                replace_unchanged(self._store, f"stills/{self._director}", {name: data}, {name: ABSENT}, title=name)
            except ChangedError:  # somebody put it there since
                return self._put(name, data)
            return "taken"
        if self._store.is_folder(name):
            return "other"
        there = self._store.read(name)
        return "same" if there == data or (name.endswith(".txt") and there.split() == data.split()) else "other"

    def _known(self, film: str) -> dict[str, str]:
        if film not in self._stems:
            names = self._store.names(f"{FOLDER}/{self._director}/{film}")
            self._stems[film] = {PurePosixPath(name).stem: name for name in names if not unusable_name(name)}
        return self._stems[film]


def land_pictures(
    landing: Landing,
    pictures: Iterable[Incoming],
    *,
    total: int,
    trigger: str,
    strip: str | None,
    max_megapixels: float,
    progress: Progress,
) -> None:
    """Take the pictures that can be decoded; captions lose `strip` or the `trigger` where they begin with it."""
    account = landing.account
    for picture in track(pictures, progress, "pictures", total):
        problem, data = _read(picture, max_megapixels)
        if problem:
            account.left_out.append((picture.source, problem))
            continue
        caption = picture.caption
        if caption is not None:
            for words in (strip, trigger):
                caption, began = without_words(caption, words)
                account.stripped += began and words == strip
        landing.still(picture.film, picture.name, data, caption, source=picture.source)


def _read(picture: Incoming, max_megapixels: float) -> tuple[str, bytes]:
    """Why a picture cannot be taken, or "" and its file."""
    if problem := unusable_name(picture.name):
        return problem, b""
    try:
        if (size := picture.path.stat().st_size) > MAX_FILE_BYTES:
            return f"is {size:,} bytes large", b""
        data = picture.path.read_bytes()
        decode(data, max_megapixels)
    except OSError as error:
        return f"cannot be read ({error.strerror or error})", b""
    except UndecodableError as error:
        return str(error), b""
    return "", data


def _unusable(text: str) -> str:
    if not text.isprintable():
        return "holds control characters"
    if len(text.encode()) >= MAX_CAPTION_BYTES:
        return f"is longer than {MAX_CAPTION_BYTES:,} bytes"
    return ""
