"""`director add`: a new director, from a folder of stills."""

import os
from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError

from director_diffusion.catalog import load_spec
from director_diffusion.errors import SpecError, StillsError
from director_diffusion.spec_base import Slug
from director_diffusion.specs import Director
from director_diffusion.storage import Store
from pipelines.surroundings import read_surroundings
from pipelines.ui_reload import reload_running_ui

SCHEMA_LINE = "# yaml-language-server: $schema=../schemas/directors.json\n"


def add_command(slug: str, *, stills: str, name: str | None, trigger: str | None, licence: str) -> int:
    """Copy the stills, then write the YAML, so that half a director never becomes a partition; reload a running UI."""
    _check_slug(slug)
    surroundings = read_surroundings()
    folder, store = Path(stills).expanduser(), surroundings.store()
    target = surroundings.catalog.folder / "directors" / f"{slug}.yaml"
    _check_free(store, slug, target)
    files, left_out = _files(folder)
    values = {
        "name": name or slug.replace("_", " ").title(),
        "trigger": trigger or f"{slug.replace('_', ' ')} style",
        "stills_licence": licence,
    }
    draft = _draft(target, values)
    try:
        _copy(store, slug, folder, files)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    print(f"Wrote {target} and copied {len(files)} files to stills/{slug} of {surroundings.store_url}.")
    if left_out:
        print(f"Left out, as they are links that lead out of {folder} or no files: {', '.join(map(repr, left_out))}.")
    if surroundings.project.directors != "all" and slug not in surroundings.project.directors:
        print(f"Project {surroundings.project.slug} lists its directors: add {slug} to its YAML.")
    print(reload_running_ui())
    print(f"Next: director run {slug}")
    return 0


def _check_slug(slug: str) -> None:
    try:
        TypeAdapter(Slug).validate_python(slug)
    except ValidationError as error:
        raise SpecError(
            repr(slug),
            "is no slug",
            "Use at most 64 lower-case letters, digits and _, such as agnes_varda.",
        ) from error


def _check_free(store: Store, slug: str, target: Path) -> None:
    if target.exists():
        raise SpecError(slug, f"exists already ({target})", "Choose another slug, or edit that file.")
    if store.names(f"stills/{slug}"):
        raise StillsError(
            f"stills/{slug}",
            "is in the store already, without a director's YAML",
            "Move it away, or choose another slug.",
        )


def _files(folder: Path) -> tuple[list[Path], list[str]]:
    """Regular files below `folder`, and the names of what is none or leads out of it; hidden ones are neither."""
    if not folder.is_dir():
        raise StillsError(str(folder), "is not a folder", "Give a folder of stills, or of one folder per film.")
    root, files, left_out = folder.resolve(), [], []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        links = [name for name in folders if (Path(parent) / name).is_symlink()]  # os.walk does not go into these
        for path in (Path(parent) / name for name in sorted([*names, *links]) if not name.startswith(".")):
            if path.is_file() and path.resolve().is_relative_to(root):
                files.append(path)
            else:
                left_out.append(path.relative_to(folder).as_posix())
    if not files:
        raise StillsError(str(folder), "holds no files", "Put stills there, or in one folder per film below it.")
    return files, left_out


def _draft(target: Path, values: dict[str, str]) -> Path:
    """The YAML beside its place, known to be a valid director's.  Raises SpecError where it would not be."""
    draft = target.with_suffix(".draft")
    text = SCHEMA_LINE + yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(text, encoding="utf-8")
        load_spec(draft, Director)
    except OSError as error:
        raise SpecError(
            str(target), f"cannot be written: {error.strerror}", "Make that folder writable and run again."
        ) from error
    except SpecError as error:
        draft.unlink(missing_ok=True)
        raise SpecError(
            f"director {target.stem}", error.problem, "Give another --name, --trigger or --licence."
        ) from error
    return draft


def _copy(store: Store, slug: str, folder: Path, files: list[Path]) -> None:
    """Copy all or nothing."""
    try:
        for path in files:
            store.put(path, f"stills/{slug}/{path.relative_to(folder).as_posix()}")
    except BaseException:
        store.delete(f"stills/{slug}")  # there was nothing before, so all there is is ours
        raise
