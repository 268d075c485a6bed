"""Image folders: pictures with a `metadata.jsonl`, as Hugging Face's `imagefolder` reads and this project writes them.

Belongs here: that layout, both ways.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from director_diffusion.captions.prompt import join_prompt
from director_diffusion.errors import StillsError
from director_diffusion.exchange.data_set import Pair, write_picture
from director_diffusion.exchange.folder import files_below
from director_diffusion.exchange.incoming import Found, Incoming, checked_film, is_image, named_apart
from director_diffusion.progress import Progress, track
from director_diffusion.stills.rows import Split

METADATA = "metadata.jsonl"
SPLITS: tuple[Split, ...] = ("train", "validation", "held_out")
_FILE, _FILM = "file_name", "film"
_LARGEST_METADATA = 1 << 30  # bytes


def read_imagefolder(folder: Path, *, film: str | None, column: str = "text") -> Found:
    """Every picture below `folder` that a `metadata.jsonl` names, and those that none names.

    All into `film`; without one, into the film that a row names.  Raises StillsError where there is no metadata, or
    neither says which film.
    """
    files, links = files_below(folder)
    found = Found(left_out=[(name, "is a link that leads out of the folder, or no file") for name in links])
    tables = [path for path in files if path.name == METADATA]
    if not tables:
        raise StillsError(
            str(folder), f"holds no {METADATA}", "Give an imagefolder with one, or use `director import kohya`."
        )
    there, named = set(files), dict[Path, Incoming]()
    for table in tables:
        for place, row in _rows(table, folder, found):
            path = _picture(table, row, there)
            source = str(row.get(_FILE))
            if path is None:
                found.left_out.append((place, f"{source!r} is no file of this folder"))
            elif path in named:
                found.left_out.append((place, f"{source!r} has a row already"))
            else:
                text = row.get(column)
                named[path] = _incoming(path, folder, film, row, text if isinstance(text, str) else None)
    for path in files:
        if path not in named and path not in tables:
            source = path.relative_to(folder).as_posix()
            if is_image(path.name) and film is not None:
                named[path] = _incoming(path, folder, film, {}, None)
            elif source != "README.md":
                found.left_out.append((source, "has no row" if is_image(path.name) else "is no picture"))
    if not named:
        raise StillsError(str(folder), f"has a {METADATA} that names no picture", "Mend its file_name entries.")
    found.pictures = named_apart([named[path] for path in files if path in named])
    return found


def write_imagefolder(
    folder: Path, pairs: Sequence[Pair], *, trigger: str, about: Mapping[str, str], progress: Progress
) -> None:
    """A folder for each split with its metadata, and a README that tells `datasets` which is which."""
    digits = max(3, len(str(len(pairs))))
    rows: dict[str, list[str]] = {split: [] for split in SPLITS}
    for number, pair in enumerate(track(pairs, progress, "pictures", len(pairs)), start=1):
        split = pair.still.split
        name = f"{number:0{digits}}.png"
        path = folder / split / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_picture(pair, path)
        row = {
            _FILE: name,
            "text": join_prompt(trigger, pair.caption),
            "caption": pair.caption,
            _FILM: pair.still.film,
            "original": pair.still.name,
            "still": pair.still.still,
        }
        rows[split].append(json.dumps(row, ensure_ascii=False) + "\n")
    for name, lines in rows.items():
        if lines:
            (folder / name / METADATA).write_text("".join(lines), encoding="utf-8")
    (folder / "README.md").write_text(_readme([s for s in SPLITS if rows[s]], about), encoding="utf-8")


def _readme(splits: Sequence[str], about: Mapping[str, str]) -> str:
    paths = "".join(f'      - split: {split}\n        path: "{split}/**"\n' for split in splits)
    said = "".join(f"- {title}: {text}\n" for title, text in about.items())
    return f"""\
---
configs:
  - config_name: default
    data_files:
{paths}---

{said}
`text` is the trigger with the caption, `caption` the caption alone.  `held_out` judges an adapter and `validation`
chooses a training's step: train on `train` alone.
"""


def _rows(table: Path, folder: Path, found: Found) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Rows with their place; what is none is left out."""
    name = table.relative_to(folder).as_posix()
    if table.stat().st_size > _LARGEST_METADATA:
        raise StillsError(str(table), f"is {table.stat().st_size:,} bytes large", "Split it over several folders.")
    with table.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                found.left_out.append((f"{name}, line {number}", f"is no JSON: {error}"))
                continue
            if isinstance(row, dict) and isinstance(row.get(_FILE), str):
                yield f"{name}, line {number}", row
            else:
                found.left_out.append((f"{name}, line {number}", f"names no picture in {_FILE!r}"))


def _picture(table: Path, row: Mapping[str, Any], there: set[Path]) -> Path | None:
    """The picture that a row names, where it is one of the folder's own."""
    name = PurePosixPath(row[_FILE])
    if name.is_absolute() or ".." in name.parts:
        return None
    path = table.parent.joinpath(*name.parts)
    return path if path in there else None


def _incoming(path: Path, folder: Path, film: str | None, row: Mapping[str, Any], text: str | None) -> Incoming:
    own = film if film is not None else row.get(_FILM)
    if not isinstance(own, str):
        raise StillsError(str(folder), f"has rows without {_FILM!r}, so no film is known", "Give --film NAME.")
    return Incoming(path, path.relative_to(folder).as_posix(), checked_film(own), path.name, text)
