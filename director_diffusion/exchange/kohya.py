"""Kohya's folders: `<repeats>_<class>/` with captions beside pictures, as sd-scripts reads them.

Belongs here: that layout, both ways.  Of sd-scripts (kohya-ss/sd-scripts, library/train_util.py, DreamBooth data sets):
folders without repeats in their name, and what lies deeper, are not read; a caption is the first line of its file.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path

from director_diffusion.captions.prompt import join_prompt
from director_diffusion.errors import StillsError
from director_diffusion.exchange.data_set import Pair, write_picture
from director_diffusion.exchange.folder import files_below
from director_diffusion.exchange.incoming import Found, Incoming, checked_film, is_image, named_apart
from director_diffusion.progress import Progress, track

_CLASS_FOLDER = re.compile(r"\d+_(.+)")
_UNFIT = re.compile(r"[^\w .-]")  # in a folder's name
_CACHES = (".npz", ".safetensors", ".json", ".toml")  # of latents and text embeddings, and what describes data sets
_WAY_OUT = "Give a folder of <repeats>_<class> folders, or of pictures with captions beside them."


def read_kohya(folder: Path, *, film: str | None, extension: str = ".txt") -> Found:
    """What sd-scripts would train on; all into `film`, or without one a film for each class.

    Raises StillsError where there is nothing of the kind.
    """
    files, links = files_below(folder)
    found = Found(left_out=[(name, "is a link that leads out of the folder, or no file") for name in links])
    parts = {path: path.relative_to(folder).parts for path in files}
    by_class = any(len(names) > 1 and _CLASS_FOLDER.fullmatch(names[0]) for names in parts.values())
    own_class = _CLASS_FOLDER.fullmatch(folder.resolve().name)
    if not by_class and film is None and own_class is None:
        raise StillsError(str(folder), "has no folders of classes to name films by", "Give --film NAME.")
    captions = {path for path in files if path.suffix == extension}
    used = set[Path]()
    for path in files:
        source = "/".join(parts[path])
        problem = _not_read(parts[path], by_class)
        if problem and path.suffix.lower() not in _CACHES:
            found.left_out.append((source, problem))
        elif not problem and path not in captions:
            if is_image(path.name):
                caption = path.with_suffix(extension)
                used.add(caption)
                text, trouble = _first_line(caption) if caption in captions else (None, "")
                if trouble:
                    found.left_out.append((f"the caption of {source}", trouble))
                of_class = _CLASS_FOLDER.fullmatch(parts[path][0]) if by_class else own_class
                own = film if film is not None or of_class is None else of_class[1]
                assert own is not None
                found.pictures.append(Incoming(path, source, checked_film(own), path.name, text))
            elif path.suffix.lower() not in _CACHES:
                found.left_out.append((source, "is no picture"))
    for path in sorted(captions - used):
        if not _not_read(parts[path], by_class):
            found.left_out.append(("/".join(parts[path]), "is a caption beside no picture"))
    if not found.pictures:
        raise StillsError(str(folder), "holds no pictures that kohya would read", _WAY_OUT)
    found.pictures = named_apart(found.pictures)
    return found


def write_kohya(
    folder: Path,
    pairs: Sequence[Pair],
    *,
    trigger: str,
    repeats: int,
    resolution: int | None,
    home: Path,
    progress: Progress,
) -> None:
    """Pictures with prompts, and `dataset.toml` for sd-scripts; `home` is where the folder will be."""
    name = f"{repeats}_{_UNFIT.sub('_', trigger)}"
    pictures = folder / name
    pictures.mkdir(parents=True)
    digits = max(3, len(str(len(pairs))))
    for number, pair in enumerate(track(pairs, progress, "pictures", len(pairs)), start=1):
        path = pictures / f"{number:0{digits}}.png"
        write_picture(pair, path)
        path.with_suffix(".txt").write_text(f"{join_prompt(trigger, pair.caption)}\n", encoding="utf-8")
    (folder / "dataset.toml").write_text(_data_set(home / name, repeats, resolution), encoding="utf-8")


def _data_set(pictures: Path, repeats: int, resolution: int | None) -> str:
    size = f"resolution = {resolution}" if resolution else "# resolution = 1024  # or --resolution"
    return f"""\
# For sd-scripts: --dataset_config dataset.toml
[general]
caption_extension = ".txt"
enable_bucket = true
keep_tokens = 1  # the trigger, wherever captions are shuffled

[[datasets]]
{size}

[[datasets.subsets]]
image_dir = {json.dumps(str(pictures), ensure_ascii=False)}  # mend this where the folder has moved
num_repeats = {repeats}
"""


def _not_read(parts: tuple[str, ...], by_class: bool) -> str:
    """Why sd-scripts would not look at this file, or ""."""
    if by_class and (len(parts) == 1 or not _CLASS_FOLDER.fullmatch(parts[0])):
        return "lies in no <repeats>_<class> folder"
    if len(parts) > 1 + by_class:
        return "lies in a folder that kohya does not look into"
    return ""


def _first_line(path: Path) -> tuple[str | None, str]:
    """The caption, or why there is none."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        return None, "is not UTF-8 text"
    except OSError as error:
        return None, f"cannot be read ({error.strerror or error})"
    return text.partition("\n")[0].strip(), ""
