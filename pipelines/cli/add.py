"""`director add`: a new director, from a folder of stills."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import yaml

from director_diffusion.catalog import load_spec
from director_diffusion.errors import SpecError, StillsError
from director_diffusion.specs import SLUG, Director
from director_diffusion.storage import Store
from pipelines.surroundings import Surroundings, read_surroundings
from pipelines.ui_reload import reload_running_ui

SCHEMA_LINE = "# yaml-language-server: $schema=../schemas/directors.json\n"


def add_command(slug: str, *, stills: str, name: str | None, trigger: str | None, licence: str) -> int:
    """Copy the stills, write the YAML last, and reload a running UI."""
    surroundings = read_surroundings()
    target = surroundings.catalog.folder / "directors" / f"{slug}.yaml"
    files = _check(surroundings, slug, target, Path(stills).expanduser())
    text = SCHEMA_LINE + yaml.safe_dump(
        {
            "name": name or slug.replace("_", " ").title(),
            "trigger": trigger or f"{slug.replace('_', ' ')} style",
            "stills_licence": licence,
        },
        sort_keys=False,
        allow_unicode=True,
    )
    _write_checked(target, text)
    try:
        copied = _copy(Store(surroundings.store_url), slug, Path(stills).expanduser(), files)
    except BaseException:
        target.unlink()  # half a director must not become a partition; stills copied so far are overwritten next time
        raise
    print(f"Wrote {target} and copied {copied} files to stills/{slug} of {surroundings.store_url}.")
    if surroundings.project.directors != "all" and slug not in surroundings.project.directors:
        print(f"Project {surroundings.project.slug} lists its directors: add {slug} to its YAML.")
    print(reload_running_ui())
    print(f"Next: director run {slug}")
    return 0


def _check(surroundings: Surroundings, slug: str, target: Path, folder: Path) -> list[Path]:
    if not re.match(SLUG, slug):
        raise SpecError(repr(slug), "is no slug", "Use lower-case letters, digits and _, such as agnes_varda.")
    if target.exists():
        raise SpecError(slug, f"exists already ({target})", "Choose another slug, or edit that file.")
    if Store(surroundings.store_url).names(f"stills/{slug}"):
        raise StillsError(
            f"stills/{slug}",
            "is in the store already, without a director's YAML",
            "Move it away, or choose another slug.",
        )
    if not folder.is_dir():
        raise StillsError(str(folder), "is not a folder", "Give a folder of stills, or of one folder per film.")
    files = [path for path in _files(folder) if not path.name.startswith(".")]
    if not files:
        raise StillsError(str(folder), "holds no files", "Put stills there, or in one folder per film below it.")
    return files


def _files(folder: Path) -> Iterator[Path]:
    """Regular files below `folder`; links are followed only to what lies inside it."""
    root = folder.resolve()
    for parent, _, names in os.walk(folder):
        for name in sorted(names):
            path = Path(parent) / name
            if path.is_file() and path.resolve().is_relative_to(root):
                yield path


def _copy(store: Store, slug: str, folder: Path, files: list[Path]) -> int:
    for path in files:
        store.put(path, f"stills/{slug}/{path.relative_to(folder).as_posix()}")
    return len(files)


def _write_checked(target: Path, text: str) -> None:
    """Write the YAML so that only a valid one ever stands there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_suffix(".draft")
    try:
        draft.write_text(text, encoding="utf-8")
        load_spec(draft, Director)
        shutil.move(draft, target)
    finally:
        draft.unlink(missing_ok=True)
