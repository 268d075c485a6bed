"""`director add`: a new director, from a folder of stills."""

from pathlib import Path

from director_diffusion.errors import SpecError, StillsError
from director_diffusion.exchange.folder import files_below
from director_diffusion.storage import Store
from pipelines.cli.new_director import check_slug, director_file, draft_director, tell_added
from pipelines.surroundings import read_surroundings


def add_command(slug: str, *, stills: str, name: str | None, trigger: str | None, licence: str | None) -> int:
    """Copy the stills, then write the YAML, so that half a director never becomes a partition; reload a running UI."""
    check_slug(slug)
    surroundings = read_surroundings()
    folder, store = Path(stills).expanduser(), surroundings.store()
    target = director_file(surroundings, slug)
    _check_free(store, slug, target)
    files, left_out = files_below(folder)
    draft = draft_director(target, name=name, trigger=trigger, licence=licence)
    try:
        _copy(store, slug, folder, files)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    print(f"Wrote {target} and copied {len(files)} files to stills/{slug} of {surroundings.store_url}.")
    if left_out:
        print(f"Left out, as they are links that lead out of {folder} or no files: {', '.join(map(repr, left_out))}.")
    tell_added(surroundings, slug)
    print(f"Next: director run {slug}")
    return 0


def _check_free(store: Store, slug: str, target: Path) -> None:
    if target.exists():
        raise SpecError(slug, f"exists already ({target})", "Choose another slug, or edit that file.")
    if store.names(f"stills/{slug}"):
        raise StillsError(
            f"stills/{slug}",
            "is in the store already, without a director's YAML",
            "Move it away, or choose another slug.",
        )


def _copy(store: Store, slug: str, folder: Path, files: list[Path]) -> None:
    """Copy all or nothing."""
    try:
        for path in files:
            store.put(path, f"stills/{slug}/{path.relative_to(folder).as_posix()}")
    except BaseException:
        store.delete(f"stills/{slug}")  # there was nothing before, so all there is is ours
        raise
