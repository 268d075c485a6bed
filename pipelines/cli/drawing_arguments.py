"""Arguments of the commands that draw: sample and sample-base.

Belongs here: their words.  Each command's own module is imported when it is called: help should not wait for Dagster.
"""

import argparse
from typing import Any

from pipelines.cli.words import number, whole

GUIDANCE = number(0, 100)
SEEDS = whole(0, 2**62)
MOST_PICTURES = 64


def add_drawing_commands(commands: "argparse._SubParsersAction[Any]") -> None:
    """Put them among the subcommands of `director`."""
    sample = commands.add_parser("sample", help="draw with an adapter and its few-step students, and time it")
    sample.add_argument("--recipe", metavar="R", help="with --director: whose adapter; needed where there are several")
    sample.add_argument("--director", metavar="D", help="whose adapter in the store, with its few-step students")
    sample.add_argument(
        "--adapter",
        nargs="+",
        metavar="FILE-OR-REPO",
        help="in place of --recipe and --director: files, folders or published repositories, worn one on top of the "
        "other; a few-step student is worn for its own number of steps",
    )
    sample.add_argument("--base", metavar="BASE", help="for an --adapter whose file does not tell its base")
    sample.add_argument("--prompt", nargs="+", required=True, metavar="PROMPT", help="the trigger is put before it")
    sample.add_argument(
        "--steps", nargs="+", type=whole(1, 1000), default=[20], metavar="N", help="one or more (default: 20)"
    )
    sample.add_argument("--seed", type=SEEDS, default=0, help="of the first picture; the next take the next seeds")
    sample.add_argument("--num-images", type=whole(1, MOST_PICTURES), default=1, metavar="N", help="of each prompt")
    sample.add_argument("--compare-base", action="store_true", help="the base too, in 30 steps by its own guidance")
    sample.add_argument(
        "--guidance", type=GUIDANCE, help="of what is no few-step student (default: the plan's, else the base's own)"
    )
    sample.add_argument("--outdir", required=True, metavar="FOLDER", help="where pictures and grids are put")
    sample.set_defaults(command=_sample)

    base = commands.add_parser("sample-base", help="draw a grid of what a base makes of given prompts")
    base.add_argument("base", metavar="BASE")
    base.add_argument("--prompts", nargs="+", required=True, metavar="PROMPT", help="a row each")
    base.add_argument(
        "--count", type=whole(1, MOST_PICTURES), default=4, help="images per prompt (default: %(default)s)"
    )
    base.add_argument("--seed", type=SEEDS, default=0, help="of the first; the next are drawn from the next seeds")
    base.add_argument("--steps", type=whole(1, 1000), default=20, help="sampling steps (default: %(default)s)")
    base.add_argument("--guidance", type=GUIDANCE, help="default: the base's own")
    base.add_argument("--shape", choices=("wide", "square", "tall"), default="wide", help="shape of the images")
    base.add_argument(
        "--folder",
        metavar="FOLDER",
        help="draw with the weights there (a base, or an exported set), not with the base's own",
    )
    base.add_argument("--out", required=True, metavar="FILE", help="the grid, such as grid.png")
    base.set_defaults(command=_sample_base)


def _sample(options: argparse.Namespace) -> int:
    from pipelines.cli.sample import sample_command

    return sample_command(
        recipe=options.recipe,
        director=options.director,
        adapters=options.adapter or [],
        base=options.base,
        prompts=options.prompt,
        steps=options.steps,
        seed=options.seed,
        count=options.num_images,
        compare_base=options.compare_base,
        guidance=options.guidance,
        outdir=options.outdir,
    )


def _sample_base(options: argparse.Namespace) -> int:
    from pipelines.cli.sample_base import sample_base_command

    return sample_base_command(
        options.base,
        prompts=options.prompts,
        count=options.count,
        seed=options.seed,
        steps=options.steps,
        guidance=options.guidance,
        shape=options.shape,
        folder=options.folder,
        out=options.out,
    )
