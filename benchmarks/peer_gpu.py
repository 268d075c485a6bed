"""Our training beside diffusers' own scripts for Flux and SDXL, on a GPU and real shapes: samples a second.

    python -m benchmarks.peer_gpu --diffusers FOLDER [--peer-python PYTHON] [--family flux sdxl] [--side 1024]
        [--batch-size 1] [--steps 61] [--no-compile] [--tiny] [--json]

FOLDER is a checkout of diffusers (its `examples/` are enough), whose scripts are run as they are, in bf16: Flux with
`--cache_latents` and rank 32 over all block linears, SDXL with rank 16 over attention, which is all that its script can
do.  PYTHON is an interpreter with `datasets`, which the scripts need for captions, beside what this project installs.
Bases have real sizes and random weights, made here: Flux takes 35 GB of disk, and 50 GB of memory when their script
loads it.  What counts is a step, once both sides are under way; start-up and compilation are told.

`--tiny` runs all of it with tiny models on the CPU, to see that it works: its numbers mean nothing.  Exit code 1 where
a bar is missed.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.bars import at_least, print_report
from benchmarks.peers.device_memory import DeviceMemory
from benchmarks.peers.sides import SIDES, Sides, surroundings
from benchmarks.peers.task import Family, Preset, Task

SPEED, PACKAGES = 1.4, ("torch", "diffusers", "transformers", "peft", "accelerate")
RANKS: dict[Family, int] = {"flux": 32, "sdxl": 16}
PRESETS: dict[Family, Preset] = {"flux": "all_block_linears", "sdxl": "attention"}


def task_of(family: Family, model: Path, folder: Path, options: argparse.Namespace) -> Task:
    return Task(
        folder=str(folder),
        model=str(model),
        family=family,
        preset=PRESETS[family],
        side=options.side,
        train=8,
        held_out=2,
        captioned=True,
        max_tokens=512 if family == "flux" else 77,
        guidance=1.0,
        steps=options.steps,
        warmup_steps=0,
        batch_size=options.batch_size,
        rank=RANKS[family],
        lr=1e-4,
        weight_decay=1e-4,
        beta2=0.99,
        precision="bfloat16",
        compiled=options.compile and not options.tiny,
        device="cpu" if options.tiny else "cuda",
    )


@contextmanager
def base(sides: Sides, folder: Path, family: Family, options: argparse.Namespace) -> Iterator[Path]:
    """A base while it is needed: two of them may be more than a disk holds."""
    size, device = ("tiny", "cpu") if options.tiny else ("real", "cuda")
    try:
        sides.help("bases", folder, family, size, device)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def compare(family: Family, sides: Sides, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Both sides on one family."""
    report: dict[str, Any] = {}
    with base(sides, folder / "base", family, options) as model:
        task = task_of(family, model, folder / "task", options)
        sides.help("prepare", task.write())
        for side in SIDES:
            with DeviceMemory() as memory:
                run = sides.train(side, task, folder / side, seed=0)
            report[side] = {
                "samples_per_s": round(task.batch_size / run.step_s, 4),
                "device_peak_mib": memory.peak_mib,
                **asdict(run),
            }
            print(f"{family}, {side}: {report[side]}", file=sys.stderr)
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--diffusers", type=Path, required=True, help="a checkout of huggingface/diffusers")
    parser.add_argument("--peer-python", default=sys.executable, help="the interpreter of their scripts")
    parser.add_argument("--family", nargs="+", choices=tuple(RANKS), default=list(RANKS))
    parser.add_argument("--side", type=int, default=1024, help="pixels (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--steps", type=int, default=61, help="one more than a multiple of 30 (default: %(default)s)")
    parser.add_argument("--no-compile", dest="compile", action="store_false", help="ours without regional compilation")
    parser.add_argument("--tiny", action="store_true", help="tiny models on the CPU: whether it works")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    hidden = {"CUDA_VISIBLE_DEVICES": ""} if options.tiny else {}
    sides = Sides(options.diffusers, options.peer_python, surroundings(hidden))
    with tempfile.TemporaryDirectory(prefix="director-bench-") as folder:
        families = {name: compare(name, sides, Path(folder) / name, options) for name in options.family}
    report = {
        "side": options.side,
        "batch_size": options.batch_size,
        "packages": {name: version(name) for name in PACKAGES},
        "families": families,
        "bars": [
            at_least(f"{name}: times their samples a second", speedup(found), SPEED) for name, found in families.items()
        ],
    }
    return print_report(report, as_json=options.json)


def speedup(found: dict[str, Any]) -> float:
    return float(found["ours"]["samples_per_s"] / found["theirs"]["samples_per_s"])


if __name__ == "__main__":
    sys.exit(main())
