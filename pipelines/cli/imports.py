"""`director import`: stills and captions from another tool's folder, or stills of a film, into the store.

Belongs here: for which director, and what is told of it.  Layouts and films live in `director_diffusion.exchange`.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from rich.console import Console

from director_diffusion.catalog import load_spec
from director_diffusion.errors import SpecError, StillsError
from director_diffusion.exchange.imagefolder import read_imagefolder
from director_diffusion.exchange.incoming import checked_film
from director_diffusion.exchange.kohya import read_kohya
from director_diffusion.exchange.landing import Account, Landing, land_pictures
from director_diffusion.progress import Progress
from director_diffusion.specs import Director
from pipelines.cli.new_director import check_slug, director_file, draft_director, tell_added
from pipelines.surroundings import Surroundings, read_surroundings

_EXTENSION = re.compile(r"\.[^./\\\0]+")
_MOST_TOLD = 20  # files of a kind; the rest are counted


def import_pictures_command(
    layout: Literal["kohya", "imagefolder"],
    folder: str,
    director: str,
    film: str | None,
    *,
    captions: str,
    strip: str | None,
    new: dict[str, str | None],
) -> int:
    """Pictures with captions: in files of that ending, as sd-scripts has them, or in a column of a metadata.jsonl."""
    path, own = Path(folder).expanduser(), None if film is None else checked_film(film)
    if layout == "kohya":
        extension = captions if captions.startswith(".") else f".{captions}"
        if not _EXTENSION.fullmatch(extension):
            raise SpecError(repr(captions), "is no ending of files' names", "Give --caption-extension .txt, say.")
        found = read_kohya(path, film=own, extension=extension)
    else:
        found = read_imagefolder(path, film=own, column=captions)
    with _director(director, new) as (spec, landing, progress):
        landing.account.left_out += found.left_out
        land_pictures(
            landing,
            found.pictures,
            total=len(found.pictures),
            trigger=spec.trigger,
            strip=strip,
            max_megapixels=spec.stills.max_megapixels,
            progress=progress,
        )
    code = _tell(landing.account, director, captions=True)
    if strip is not None:
        print(f"{landing.account.stripped} captions began with {strip!r}.")
    return code


def import_film_command(
    file: str,
    director: str,
    film: str | None,
    *,
    every: float | None,
    most: int | None,
    new: dict[str, str | None],
) -> int:
    """A sharp frame of every shot."""
    from director_diffusion.exchange.film.opened import opened_film
    from director_diffusion.exchange.film.take import Counted, film_stills, still_name
    from director_diffusion.stills.decode import encode_jpeg

    path = Path(file).expanduser()
    own, counted = checked_film(film if film is not None else path.stem), Counted()
    with _director(director, new) as (_, landing, progress), opened_film(path) as opened:
        for time_s, picture in film_stills(opened, counted, every_s=every, most=most, progress=progress):
            name = still_name(own, time_s)
            landing.still(own, name, encode_jpeg(picture), None, source=name)
    print(
        f"{path}: {opened.frames} frames, {opened.end_s:.1f} s, {counted.shots} shots; without a still: "
        f"{counted.too_short} too short, {counted.showing_nothing} black or of one colour, "
        f"{counted.passed_over} passed over for a sharper one nearby"
    )
    if opened.broken:
        print(f"{opened.broken} frames or packets were damaged and are left out.")
    if opened.stopped or _ends_early(opened.end_s, opened.duration_s):
        reason = f" ({opened.stopped})" if opened.stopped else ""
        print(f"The file ends at {opened.end_s:.1f} s of the {opened.duration_s or 0:.1f} s that it states{reason}.")
    return _tell(landing.account, director, captions=False)


@contextmanager
def _director(slug: str, new: dict[str, str | None]) -> Iterator[tuple[Director, Landing, Progress]]:
    """The director, who is added at the end where the YAML is not there yet and a still was taken."""
    from pipelines.cli.screen import ScreenProgress, Terminal

    check_slug(slug)
    surroundings = read_surroundings()
    target = director_file(surroundings, slug)
    landing = Landing(surroundings.store(), slug)
    terminal = Terminal(Console(stderr=True, width=None if sys.stderr.isatty() else 160))
    progress = ScreenProgress(terminal).plain(slug)
    if target.exists():
        given = [f"--{key}" for key, value in new.items() if value is not None]
        if given:
            raise SpecError(", ".join(given), f"is for a new director: {target} is there", "Edit that file.")
        with terminal.bars:
            yield load_spec(target, Director), landing, progress
        return
    draft = draft_director(target, name=new["name"], trigger=new["trigger"], licence=new["licence"])
    try:
        with terminal.bars:
            yield load_spec(draft, Director), landing, progress
        _put_in_place(surroundings, landing.account, draft, target)
    finally:
        draft.unlink(missing_ok=True)


def _put_in_place(surroundings: Surroundings, account: Account, draft: Path, target: Path) -> None:
    """A director without a still would be a partition that fails."""
    if account.taken or account.same:
        draft.replace(target)
        print(f"Wrote {target}.")
        tell_added(surroundings, target.stem)


def _tell(account: Account, director: str, *, captions: bool) -> int:
    """0: all that could be taken is there; 1: somebody must decide about a file."""
    _list(account.left_out, "Not taken")
    _list(account.refused, "Refused", "Nothing was overwritten: give another --film, or move what is there away.")
    if not (account.taken or account.same or account.refused):
        raise StillsError(f"stills/{director}", "got no still", "Look at the reasons above.")
    print(f"stills/{director}: {account.taken} stills taken, {account.same} there already.")
    if captions:
        print(
            f"Captions: {account.captions} written, {account.same_captions} there already, "
            f"{account.without_caption} stills without one, which the captioner will describe."
        )
    print(f"Next: director run {director}")
    return 1 if account.refused else 0


def _list(files: list[tuple[str, str]], title: str, way_out: str = "") -> None:
    if not files:
        return
    print(f"{title} ({len(files)}):")
    for name, reason in files[:_MOST_TOLD]:
        print(f"  {name!r}: {reason}")
    if len(files) > _MOST_TOLD:
        print(f"  and {len(files) - _MOST_TOLD} more")
    if way_out:
        print(way_out)


def _ends_early(end_s: float, duration_s: float | None) -> bool:
    return duration_s is not None and end_s < duration_s - max(1.0, 0.01 * duration_s)
