"""`director sample-base`: a grid of what a base draws for given prompts."""

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from director_diffusion.errors import EvaluationError, SpecError
from director_diffusion.specs import Base, FolderSource
from pipelines.build import build_machine, build_models
from pipelines.cli.in_process import quiet_libraries
from pipelines.cli.out_file import check_writable, put_in_place
from pipelines.cli.screen import ScreenProgress, Terminal
from pipelines.surroundings import Surroundings, limit_threads, read_surroundings

ASPECTS = {"wide": 1.85, "square": 1.0, "tall": 1 / 1.85}  # a base draws the size it has that is nearest
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def sample_base_command(
    slug: str,
    *,
    prompts: Sequence[str],
    count: int,
    seed: int,
    steps: int,
    guidance: float | None,
    shape: str,
    folder: str | None,
    out: str,
) -> int:
    """Draw and write the grid: a row per prompt, `count` images from the seeds `seed` onwards."""
    quiet_libraries()
    surroundings = read_surroundings()
    limit_threads(surroundings)
    base = _choose(surroundings, slug, folder)
    console = Console(stderr=True, width=None if sys.stderr.isatty() else 160)
    terminal = Terminal(console)
    target = Path(out).expanduser()
    _check_kind(target)
    check_writable(target, "--out")
    with terminal.bars:
        from director_diffusion.sampling.prompted import Request, draw_prompted, prompted_grid

        place = build_models(surroundings).base_folder(base)
        request = Request(
            prompts=tuple(prompts),
            seeds=tuple(range(seed, seed + count)),
            steps=steps,
            guidance=base.guidance.sample if guidance is None else guidance,
            aspect=ASPECTS[shape],
        )
        progress = ScreenProgress(terminal).plain(slug)
        with build_machine(surroundings).lent(holder="director sample-base", told=progress.note) as lent:
            rows = draw_prompted(request, base, place, device=lent.device, progress=progress)
    with put_in_place(target, "--out") as partial:
        prompted_grid(prompts, rows).save(partial)
    first = rows[0][0]
    print(f"{out}: {len(rows)} prompts × {count} images of {first.width} × {first.height} pixels by {slug}")
    return 0


def _choose(surroundings: Surroundings, slug: str, folder: str | None) -> Base:
    """The base of that name as it draws, or from `folder` where one is given: the base's own, or a set with `base`."""
    bases = surroundings.catalog.bases
    if slug not in bases:
        raise SpecError(slug, "is no base", f"Choose of {', '.join(bases)}.")
    if folder is None:
        return bases[slug].drawn_with
    from director_diffusion.pretraining.build import FOLDERS

    place = Path(folder).expanduser().resolve()
    in_set = place / FOLDERS["denoiser"]
    source = FolderSource(kind="folder", folder=str(in_set if in_set.is_dir() else place))
    return bases[slug].model_copy(update={"source": source, "sampled_with": None})


def _check_kind(path: Path) -> None:
    if path.suffix.lower() not in SUFFIXES:
        raise EvaluationError(str(path), "is of no known kind of image", f"Name it *{' or *'.join(SUFFIXES)}.")
