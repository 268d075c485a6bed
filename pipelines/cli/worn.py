"""Worn: the adapters that `director sample` draws with, and its few-step students among them.

Belongs here: finding their files by the words of the command, and what they say of base and trigger.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from director_diffusion.distillation.rows import weights_file
from director_diffusion.errors import SpecError
from director_diffusion.sampling.ways import Worn, kept_of
from director_diffusion.specs import STEP_COUNTS
from director_diffusion.training.header import read_header
from director_diffusion.training.rows import WEIGHTS
from pipelines.cli.choices import choose_recipe
from pipelines.cli.repositories import downloaded
from pipelines.surroundings import Surroundings
from resources.store import StoreResource

STUDENTS = tuple(weights_file(count) for count in STEP_COUNTS)
FILES = (WEIGHTS, *STUDENTS)


def worn_of(surroundings: Surroundings, director: str, recipe: str | None) -> Worn:
    """A director's adapter in the store, with the students that it taught.

    Raises StoreError where there is no adapter that may be used, or the students are of an earlier one.
    """
    recipe = choose_recipe(surroundings, director, recipe)
    catalog = surroundings.catalog
    kept = kept_of(StoreResource(url=surroundings.store_url).get(), recipe, director)
    return kept.worn(catalog.bases[catalog.recipes[recipe].base], catalog.directors[director])


@contextmanager
def worn_by_name(surroundings: Surroundings, given: Sequence[str], base: str | None) -> Iterator[Worn]:
    """Files, folders and published repositories.

    Raises SpecError where no file tells a base that there is, and `base` does not either.
    """
    with ExitStack() as open_folders:
        files = [file for name in given for file in _files(surroundings, name, open_folders)]
        headers = {file: read_header(file) for file in files}
        students = {
            int(header["sampling_steps"]): file for file, header in headers.items() if "sampling_steps" in header
        }
        adapters = tuple(file for file in files if file not in students.values())
        triggers = [header["trigger"] for header in headers.values() if header.get("trigger")]
        slug = base or next((_base_slug(header) for header in headers.values() if _base_slug(header)), "")
        bases = surroundings.catalog.bases
        if slug not in bases:
            raise SpecError(
                slug or "--base",
                "is no base" if slug else "is needed: the adapter's file does not tell its base",
                f"Choose of {', '.join(bases)}.",
            )
        yield Worn(bases[slug], triggers[0] if triggers else "", adapters, students)


def _files(surroundings: Surroundings, name: str, open_folders: ExitStack) -> list[Path]:
    path = Path(name).expanduser()
    if path.is_file():
        return [path]
    folder = path if path.is_dir() else open_folders.enter_context(downloaded(surroundings, name, FILES))
    found = [folder / file for file in FILES if (folder / file).is_file()]
    if not found:
        raise SpecError(name, f"holds no adapter ({WEIGHTS})", "Give a file, or a folder or repository with one.")
    return found


def _base_slug(header: Mapping[str, str]) -> str:
    return str(json.loads(header.get("recipe_spec", "{}")).get("base", ""))
