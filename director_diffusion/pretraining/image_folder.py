"""Image folders: which files of a labelled folder are its pictures.

Belongs here: that one list, which is trained on and which names the data in keys.  Imports no torch, so that keys can
be computed without it.
"""

from collections.abc import Iterator
from pathlib import Path

from director_diffusion.errors import DataError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".avif", ".heic")


def image_files(folder: Path, name: str) -> list[tuple[str, Path]]:
    """Every image below `folder`, by label and path in order: a label is a subfolder, and its images lie at any depth.

    Hidden files and folders are left out, links are followed.  `name` is what errors call the folder.  Raises DataError
    where it is absent or may not be read, has no labels, or has one without images.
    """
    try:
        if not folder.is_dir():
            raise DataError(
                name, f"is not a folder (looked for {folder})", "Put the images there, or mend the base's file."
            )
        labels = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
        if not labels:
            raise DataError(name, "has no subfolders", "Make one a label, named by what its images are asked for by.")
        files = []
        for label in labels:
            images = sorted(_images_below(label, above=(folder.resolve(),)))
            if not images:
                raise DataError(f"{name}/{label.name}", "holds no images", "Put some there, or remove it.")
            files += [(label.name, path) for path in images]
        return files
    except OSError as error:
        raise DataError(
            str(error.filename or name), f"cannot be read: {error.strerror or error}", "Give this user read access."
        ) from error


def _images_below(folder: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    place = folder.resolve()
    if place in above:
        raise DataError(str(folder), "is a link to a folder that it lies in", "Remove it.")
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _images_below(path, (*above, place))
        elif path.suffix.lower() in SUFFIXES and path.is_file():
            yield path
