"""Worn: the adapters that `director sample` draws with, and its few-step students among them.

Belongs here: finding their files by the words of the command, and what they say of base and trigger.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from director_diffusion.distillation.rows import steps_of, weights_file
from director_diffusion.errors import ModelError, SpecError
from director_diffusion.hashing import hash_file
from director_diffusion.publishing.inputs import LOKR_WEIGHTS
from director_diffusion.sampling.ways import AdapterStack, kept_of
from director_diffusion.specs import STEP_COUNTS
from director_diffusion.training.header import read_header
from director_diffusion.training.rows import WEIGHTS
from pipelines.cli.choices import choose_recipe
from pipelines.cli.repositories import downloaded
from pipelines.surroundings import Surroundings

STUDENTS = tuple(weights_file(count) for count in STEP_COUNTS)


def worn_of(surroundings: Surroundings, director: str, recipe: str | None) -> AdapterStack:
    """A director's adapter in the store, with the students that it taught.

    Raises StoreError where there is no adapter that may be used, EvaluationError where it knows another trigger.
    """
    recipe = choose_recipe(surroundings, director, recipe)
    catalog = surroundings.catalog
    kept = kept_of(surroundings.store(), recipe, director)
    return kept.stack(catalog.bases[catalog.recipes[recipe].base], catalog.directors[director])


@contextmanager
def worn_by_name(surroundings: Surroundings, given: Sequence[str], base: str | None) -> Iterator[AdapterStack]:
    """Files, folders and published repositories.

    Raises SpecError where no file tells a base that there is, and `base` does not either, and for students without the
    adapter that taught them; ModelError for files that do not say what this project's do.
    """
    with ExitStack() as open_folders:
        files = [_Given(file) for name in given for file in _files(surroundings, name, open_folders)]
        adapters = [one for one in files if one.draws_in is None]
        triggers = [one.header["trigger"] for one in adapters if one.header.get("trigger")]
        slug = base or next((one.base for one in adapters if one.base), "")
        bases = surroundings.catalog.bases
        if slug not in bases:
            raise SpecError(
                slug or "--base",
                "is no base" if slug else "is needed: the adapter's file does not tell its base",
                f"Choose of {', '.join(bases)}.",
            )
        yield AdapterStack(
            bases[slug],
            triggers[0] if triggers else "",
            tuple(one.path for one in adapters),
            _students(files, adapters),
            _notes(adapters, triggers),
        )


def _notes(adapters: "Sequence[_Given]", triggers: Sequence[str]) -> tuple[str, ...]:
    """What whoever typed the prompt should know of triggers."""
    found = [f"{one.path.name} knows {' | '.join(one.triggers)}: write one of them" for one in adapters if one.triggers]
    if len(set(triggers)) > 1:
        found.append(f"only {triggers[0]!r} is put before a prompt: write the others yourself")
    return tuple(found)


@dataclass(frozen=True)
class _Given:
    """A file, and what it says of itself.  Raises ModelError for a header that this project did not write."""

    path: Path

    @cached_property
    def header(self) -> Mapping[str, str]:
        return read_header(self.path)

    @property
    def draws_in(self) -> int | None:
        """The steps of a student; None of what is none."""
        told = self.header.get("sampling_steps")
        if told is None:
            return None
        known = {str(count): count for count in STEP_COUNTS}
        if told not in known:
            raise self._odd("sampling_steps", f"{told!r}, and there are students of {', '.join(known)}")
        return known[told]

    @property
    def base(self) -> str:
        """The slug of the base that it was trained on, or ""."""
        return str(self._parsed("recipe_spec").get("base", ""))

    @property
    def triggers(self) -> list[str]:
        """Of an adapter of several directors."""
        return sorted(map(str, self._parsed("triggers").values()))

    def _parsed(self, name: str) -> dict[str, object]:
        try:
            found = json.loads(self.header.get(name, "{}"))
        except ValueError as error:
            raise self._odd(name, "no JSON") from error
        if not isinstance(found, dict):
            raise self._odd(name, "no mapping")
        return found

    def _odd(self, name: str, problem: str) -> ModelError:
        return ModelError(str(self.path), f"has {name} in its header that is {problem}", "Give a file as it was made.")


def _students(files: Sequence[_Given], adapters: Sequence[_Given]) -> dict[int, Path]:
    found: dict[int, Path] = {}
    known = {hash_file(one.path) for one in adapters}
    for one in files:
        if one.draws_in is None:
            continue
        if known != {one.header.get("worn_on", "")}:
            raise SpecError(
                str(one.path),
                "is a student that is worn on the adapter that taught it, which is not what is given beside it",
                "Give that adapter's file with it, and no other.",
            )
        if one.draws_in in found:
            raise SpecError(
                str(one.path), f"draws in {steps_of(one.draws_in)}, as {found[one.draws_in]} does", "Give one of them."
            )
        found[one.draws_in] = one.path
    return found


def _files(surroundings: Surroundings, name: str, open_folders: ExitStack) -> list[Path]:
    path = Path(name).expanduser()
    if path.is_file():
        return [path]
    wanted = (WEIGHTS, LOKR_WEIGHTS, *STUDENTS)
    folder = path if path.is_dir() else open_folders.enter_context(downloaded(surroundings, name, wanted))
    found = {file: folder / file for file in wanted if (folder / file).is_file()}
    if LOKR_WEIGHTS in found:
        found.pop(WEIGHTS, None)  # the same once more, of lower rank, for programs that read no LoKr
    if not found:
        raise SpecError(name, f"holds no adapter ({WEIGHTS})", "Give a file, or a folder or repository with one.")
    return list(found.values())
