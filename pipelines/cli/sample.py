"""`director sample`: pictures by an adapter in one or more numbers of steps, grids, and how long each took.

Belongs here: what is drawn and where it goes.  Which files are worn is `worn`'s, drawing `sampling.timed`'s.
"""

import sys
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from director_diffusion.errors import SpecError
from director_diffusion.sampling.samplers import plan_sampler
from director_diffusion.sampling.ways import AdapterStack, Way, way_in
from director_diffusion.specs import Base
from pipelines.build import build_machine, build_models
from pipelines.cli.in_process import quiet_libraries
from pipelines.cli.out_file import check_writable, put_in_place
from pipelines.cli.screen import ScreenProgress, Terminal
from pipelines.surroundings import Surroundings, limit_threads, read_surroundings

if TYPE_CHECKING:
    from PIL.Image import Image

    from director_diffusion.sampling.timed import Drawn

BASE_STEPS = 30
SIDE_BY_SIDE = "side_by_side.png"
CELL = 256  # pixels, width of a picture in a grid


def sample_command(
    *,
    recipe: str | None,
    director: str | None,
    adapters: Sequence[str],
    base: str | None,
    prompts: Sequence[str],
    steps: Sequence[int],
    seed: int,
    count: int,
    compare_base: bool,
    guidance: float | None,
    outdir: str,
) -> int:
    """Draw, write, and print a table of times.

    For each of `steps` a student that draws in so many is worn where there is one, under no guidance of its own cost;
    else the adapter alone.  Pictures are written as each way is drawn.  Raises SpecError for words that do not go
    together, and for files that are there already.
    """
    if bool(adapters) == bool(director):
        raise SpecError("--adapter", "or --director is needed, and not both", "Say what is to be drawn with.")
    if adapters and recipe:
        raise SpecError("--recipe", "goes with --director", "Leave it out: an adapter's file says its own.")
    quiet_libraries()
    from pipelines.cli.worn import worn_by_name, worn_of  # imports a library whose bars are switched off before

    surroundings = read_surroundings()
    limit_threads(surroundings)
    terminal = Terminal(Console(stderr=True, width=None if sys.stderr.isatty() else 160))
    found = (
        worn_by_name(surroundings, adapters, base)
        if adapters
        else nullcontext(worn_of(surroundings, director or "", recipe))
    )
    progress = ScreenProgress(terminal).plain(director or "adapter")
    with found as worn, terminal.bars, ExitStack() as stack:
        from director_diffusion.sampling.timed import Drawn, draw_ways

        drawn_with, seeds = worn.base.drawn_with, list(range(seed, seed + count))
        ways = _ways(surroundings, worn, drawn_with, prompts, list(dict.fromkeys(steps)), guidance, compare_base)
        names = _names(ways, prompts, seeds)
        grids = [*map(_grid_name, ways), *([SIDE_BY_SIDE] if len(ways) > 1 else [])]
        folder = _made(outdir, [*(name for way in names for row in way for name in row), *grids])
        drawn: list[Drawn] = []
        lent = build_machine(surroundings).lent(holder="director sample", told=progress.note)
        coming = draw_ways(
            ways,
            seeds,
            drawn_with,
            build_models(surroundings).base_folder(drawn_with),
            device=stack.enter_context(lent).device,
            progress=ScreenProgress(terminal).plain(worn.base.slug),
        )
        for one, rows in zip(coming, names, strict=True):
            drawn.append(one)
            for images, row in zip(one.images, rows, strict=True):
                for image, name in zip(images, row, strict=True):
                    _write(image, folder / name)
        for name, grid in _grids(drawn, prompts, seeds).items():
            _write(grid, folder / name)
    _print_times(drawn)
    for note in worn.notes:
        print(f"Note: {note}.")
    print(f"{folder}: {len(ways) * len(prompts) * count} pictures of {len(prompts)} prompts")
    return 0


def _ways(
    surroundings: Surroundings,
    worn: AdapterStack,
    base: Base,
    prompts: Sequence[str],
    steps: Sequence[int],
    guidance: float | None,
    compare_base: bool,
) -> list[Way]:
    if guidance is not None and guidance < 1 and base.guidance.kind == "classifier_free":
        raise SpecError("--guidance", "is below 1, where classifier-free guidance is not drawn", "Give 1 or more.")
    plan = surroundings.catalog.evaluations[surroundings.project.evaluation]
    own = plan_sampler(plan, base)
    full = own if guidance is None else replace(own, guidance=guidance)
    ways = []
    if compare_base:
        bare = replace(own, steps=BASE_STEPS, guidance=base.guidance.sample)
        ways.append(Way(f"base, {BASE_STEPS} steps", tuple(prompts), (), bare))
    return [*ways, *(way_in(number, worn, tuple(prompts), full, of_students=own) for number in steps)]


def _names(ways: Sequence[Way], prompts: Sequence[str], seeds: Sequence[int]) -> list[list[list[str]]]:
    """File names by way, prompt and seed: they tell steps, index and seed."""

    def name(way: Way, row: int, index: int, seed: int) -> str:
        prompt = f"prompt{row:02d}_" if len(prompts) > 1 else ""
        return f"{prompt}{_stem(way)}_{index:02d}_seed{seed}.png"

    return [
        [[name(way, row, index, seed) for index, seed in enumerate(seeds)] for row in range(len(prompts))]
        for way in ways
    ]


def _stem(way: Way) -> str:
    return f"{'' if way.adapters else 'base_'}steps{way.sampler.steps:02d}"


def _grid_name(way: Way) -> str:
    return f"grid_{_stem(way)}.png"


def _grids(drawn: "Sequence[Drawn]", prompts: Sequence[str], seeds: Sequence[int]) -> "dict[str, Image]":
    """One of each way, prompts as rows and seeds as columns; and all ways side by side where there are several."""
    from director_diffusion.sampling.grids import labelled_grid

    titles = [f"seed {seed}" for seed in seeds]
    grids = {
        _grid_name(one.way): labelled_grid(one.images, rows=list(prompts), columns=titles, width=CELL) for one in drawn
    }
    if len(drawn) > 1:
        places = [(row, column) for row in range(len(prompts)) for column in range(len(seeds))]
        grids[SIDE_BY_SIDE] = labelled_grid(
            [[one.images[row][column] for one in drawn] for row, column in places],
            rows=[f"{prompts[row]}  ({titles[column]})" for row, column in places],
            columns=[one.way.title for one in drawn],
            width=CELL,
        )
    return grids


def _made(outdir: str, names: Sequence[str]) -> Path:
    """The folder, with nothing of these names in it.  Raises SpecError otherwise, before anything is drawn."""
    folder = Path(outdir).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SpecError(outdir, f"cannot be made: {error.strerror or error}", "Give another --outdir.") from error
    there = [name for name in names if (folder / name).exists()]
    if there:
        raise SpecError(
            outdir, f"holds {there[0]} already, of {len(there)} such", "Give another --outdir, or another --seed."
        )
    check_writable(folder / names[0], "--outdir")
    return folder


def _write(image: "Image", path: Path) -> None:
    with put_in_place(path, "--outdir") as partial:
        image.save(partial)


def _print_times(drawn: "Sequence[Drawn]") -> None:
    table = Table(title="Seconds, waiting for the device")
    for title in ("drawn as", "warm-up", "per image (median)", "images a second"):
        table.add_column(title, justify="left" if title == "drawn as" else "right")
    for one in drawn:
        table.add_row(one.way.title, f"{one.warm_up_s:.2f}", f"{one.per_image_s:.3f}", f"{1 / one.per_image_s:.2f}")
    Console(width=None if sys.stdout.isatty() else 120).print(table)
