"""`director build-base`: a base trained from scratch, in this process, on the instance that the UI reads."""

import sys
from pathlib import Path

import dagster as dg
from rich.console import Console

from director_diffusion.errors import SpecError
from director_diffusion.models.trained import BASE_MODEL
from director_diffusion.specs import Base
from director_diffusion.storage.artifact import usable_artifact
from pipelines.build import build_definitions, build_machine, build_models
from pipelines.cli.in_process import count_reused, errors_of, quiet_libraries, run_job, sweep_and_tell
from pipelines.cli.screen import ScreenProgress, Terminal
from pipelines.home import prepare_home
from pipelines.jobs import BUILD_BASE
from pipelines.surroundings import Surroundings, limit_threads, read_surroundings


def build_base_command(slug: str, *, part: str | None, export: str | None) -> int:
    """Materialize `<base>/base_model` and export it; or train one part, which later runs then find."""
    quiet_libraries()
    surroundings = read_surroundings()
    limit_threads(surroundings)
    base = _choose(surroundings, slug)
    if part is not None and export is not None:
        raise SpecError("--part", "trains a part, not a set that could be exported", "Leave --part or --export out.")
    console = Console(stderr=True, width=None if sys.stderr.isatty() else 160)
    terminal = Terminal(console)
    if part is not None:
        with terminal.bars:
            folder = _build_part(surroundings, base, part, terminal)
        print(f"{part} of {slug}: {folder}")
        return 0
    with prepare_home(surroundings) as instance, terminal.bars:
        sweep_and_tell(instance, console)
        definitions = build_definitions(surroundings, {"progress": ScreenProgress(terminal)})
        result = run_job(definitions, instance, BUILD_BASE, [dg.AssetKey([slug, BASE_MODEL])])
    errors = errors_of(result)
    for error in errors:
        console.print(f"{slug}: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
    if errors:
        return 1
    store = surroundings.store()
    made = usable_artifact(store, (slug, BASE_MODEL), None)
    print(f"{slug}/{BASE_MODEL}{' (reused)' if count_reused(result) else ''}: {store.full(made.folder)}")
    if export is not None:
        from director_diffusion.pretraining.export import export_set

        export_set(made, Path(export).expanduser())
        print(f"exported to {export}")
    return 0


def _build_part(surroundings: Surroundings, base: Base, part: str, terminal: Terminal) -> str:
    """Train a part, with what it stands on; its place in the store."""
    from director_diffusion.pretraining.build import PartMaker
    from director_diffusion.pretraining.keys import parts_of

    if part not in parts_of(base):
        raise SpecError(part, f"is no part of {base.slug}", f"Choose of {', '.join(parts_of(base))}.")
    holder = f"director build-base {base.slug} --part {part}"
    progress = ScreenProgress(terminal).plain(f"{base.slug}/{BASE_MODEL}")
    with build_machine(surroundings).lent(holder=holder, told=progress.note) as lent:
        shop = build_models(surroundings).workshop(device=lent.device, holder=holder, progress=progress)
        return shop.store.full(PartMaker(base, shop).make(part).folder)


def _choose(surroundings: Surroundings, slug: str) -> Base:
    bases = {base.slug: base for base in surroundings.catalog.project_bases_trained_here(surroundings.project)}
    if slug not in bases:
        raise SpecError(
            slug,
            f"is no base that project {surroundings.project.slug} trains",
            f"Choose of {', '.join(bases) or 'none'}, or list it in the project's `bases`.",
        )
    return bases[slug]
