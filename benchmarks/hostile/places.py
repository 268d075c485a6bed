"""A director's folder as nobody would wish it: odd names, and things that are no files.

Belongs here: writing all that into a store.  What the files hold is made by `good`, `broken` and `made`.
"""

import ctypes
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from benchmarks.hostile.broken import broken_file
from benchmarks.hostile.good import good_files, picture, saved
from benchmarks.hostile.made import made_files

PER_FILM = 100
LARGE_TEXT = 100 << 20  # bytes
_SPARSE = 700 << 20  # bytes, of files that have them on no disk: as many as a still may have

NAMES: tuple[bytes, ...] = (
    b"two words.jpg",
    "café – 映画 🎬.jpg".encode(),
    b"-rf.jpg",
    b"$(touch x);`id`.jpg",
    b"line\nbreak\ttab\r.jpg",
    b"\x1b[31mred\x07.jpg",
    b'<img src="x" onerror=alert(1)>.jpg',
    b"up..up..jpg",
    b"n" * 251 + b".jpg",
    b"no suffix",
    b" .jpg",
    b"a\\b.jpg",
    b"NUL.jpg",
    b"%00%2e%2e%2f.jpg",
    b"\xff\xfe\x80.jpg",
    "gnp.\u202ejpg".encode(),
    "zero\u200bwidth.jpg".encode(),
    "e\u0301.jpg".encode(),
    "é.jpg".encode(),
    b"twice.jpg.png",
    b"UPPER.JPG",
)


def fill(folder: Path, count: int, seed: int, *, large: bool) -> int:
    """Write `count` of everything below `folder`, a film of so many after the other.  Returns how many are no masks,
    captions or decisions, and so get a row."""
    rng, good = Random(seed), good_files()
    first = [*made_files(large=large), *good.items()]
    written = 0

    def film() -> Path:
        place = folder / f"film_{written // PER_FILM:03}"
        place.mkdir(parents=True, exist_ok=True)
        return place

    for put in _no_files():
        put(film())
        written += 1
    for number, name in enumerate(NAMES):
        _write(film() / os.fsdecode(name), saved(picture(500 + number), "JPEG"))
        written += 1
    if large:
        for number in range(2):
            with (film() / f"sparse_{number}.jpg").open("wb") as file:
                file.write(bytes([number]))
                file.truncate(_SPARSE)
            written += 1
    for name, data in first if large else _spread(first, count - written):
        _write(film() / name, data)
        written += 1
    while written < count:
        name, data = broken_file(rng, good)
        _write(film() / f"{written:04}-{name[-200:]}", data)
        written += 1
    _beside(folder / "film_000", large=large)
    return written


def _spread(found: list[tuple[str, bytes]], count: int) -> list[tuple[str, bytes]]:
    """Some of them, for a small number of files; half of the places are left to broken ones."""
    most = max(count // 2, 0)
    return [found[index * len(found) // most] for index in range(most)] if most < len(found) else found


def _write(path: Path, data: bytes) -> None:
    while path.exists():
        path = path.with_name(f"_{path.name}")
    path.write_bytes(data)


def _no_files() -> Iterator[Callable[[Path], None]]:
    """Each makes one thing in a film's folder that is named like an image and is no file, or not one to be read."""

    def link(name: str, target: str) -> Callable[[Path], None]:
        return lambda film: (film / name).symlink_to(target)

    for name, target in {
        "passwd.jpg": "/etc/passwd",
        "zeros.jpg": "/dev/zero",
        "input.jpg": "/dev/stdin",
        "root.jpg": "/",
        "nowhere.jpg": "nothing/at/all.jpg",
        "itself.jpg": "itself.jpg",
        "ping.jpg": "pong.jpg",
        "pong.jpg": "ping.jpg",
        "above.jpg": "../../../../../../../../etc/hostname",
        "process.jpg": "/proc/self/mem",
    }.items():
        yield link(name, target)
    yield lambda film: os.mkfifo(film / "pipe.jpg")
    yield lambda film: os.mkfifo(film / "pipe.png")
    yield _socket
    yield _folder
    yield _unreadable
    yield _unreadable_folder


def _socket(film: Path) -> None:
    """Bound by a short name: those of sockets are short."""
    here = Path.cwd()
    with socket.socket(socket.AF_UNIX) as end:
        os.chdir(film)
        try:
            end.bind("socket.jpg")
        finally:
            os.chdir(here)


def _folder(film: Path) -> None:
    (film / "folder.jpg").mkdir()
    (film / "folder.jpg" / "inside.jpg").write_bytes(saved(picture(600), "JPEG"))


def _unreadable(film: Path) -> None:
    path = film / "unreadable.jpg"
    path.write_bytes(saved(picture(601), "JPEG"))
    path.chmod(0)


def _unreadable_folder(film: Path) -> None:
    """Beside the films: a film of its own that may not be looked into."""
    path = film.parent / "closed film"
    path.mkdir()
    (path / "inside.jpg").write_bytes(saved(picture(602), "JPEG"))
    path.chmod(0)


def _beside(film: Path, *, large: bool) -> None:
    """Captions and masks that are as bad; they get no row of a still."""
    for name, data in {"nul": b"a\0b", "latin": b"caf\xe9", "empty": b"", "turning": "a\u202eb".encode(),
                       "wide": "two\n".encode("utf-16"), "long": b"word " * 30_000, "\n": b"name"}.items():  # fmt: skip
        (film / f"{name}.txt").write_bytes(data)
    with (film / "large.txt").open("wb") as file:
        file.truncate(LARGE_TEXT if large else 1 << 20)
    os.mkfifo(film / "pipe.txt")
    (film / "folder.txt").mkdir()
    (film / "passwd.txt").symlink_to("/etc/passwd")
    (film / "itself.txt").symlink_to("itself.txt")
    (film / "broken.mask.png").write_bytes(b"\x89PNG")
    os.mkfifo(film / "pipe.mask.png")
    (film / "passwd.mask.png").symlink_to("/etc/passwd")


def be_bound_by_modes() -> None:
    """As ordinary users are: takes root's powers over files' modes away from this thread and those that it
    starts."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return
    header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    libc = ctypes.CDLL(None, use_errno=True)
    libc.capget(header, data)
    for index in (0, 1):  # effective and permitted
        data[index] &= ~0b110  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
    libc.capset(header, data)
