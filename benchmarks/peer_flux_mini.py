"""Our training beside diffusers' own Flux script: on 2 cores with the mini base, from start to saved adapter.

    python -m benchmarks.peer_flux_mini --diffusers FOLDER [--peer-python PYTHON] [--steps 400] [--repetitions 3]
        [--precision float32|bfloat16] [--prompts captions|one] [--cores 2] [--threads 2] [--json]

FOLDER is a checkout of diffusers (its `examples/` are enough); the script is run as it is, with `--cache_latents` and
no validation.  Both sides get the same drawn pictures, prompts, base, linears, rank, optimizer, schedule, batch and
steps, in float32 as mini's recipes or in bfloat16 as those of real bases, as processes of their own that take turns.
With captions (the default) the script needs `datasets`, so PYTHON may be an interpreter that has it beside what this
project installs; `--prompts one` gives all pictures one prompt, which needs nothing more.

Times end with the adapter's file; ours include encoding pictures and prompts, and judging, which theirs has none of.
What is spent on imports is what `python -X importtime` says in a training of a few steps.  The held-out loss is one
evaluator's, which loads either's file.  Exit code 1 where a bar is missed.
"""

import argparse
import hashlib
import os
import statistics
import sys
import tempfile
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.bars import at_least, at_most, print_report
from benchmarks.peers import commands
from benchmarks.peers.measured import Measured, median
from benchmarks.peers.sides import ROOT, SIDES, Side, Sides, surroundings
from benchmarks.peers.task import WEIGHTS, Task

MODEL = ROOT / "models" / "mini" / "base"
IMPORT_STEPS, IMPORT_FLAGS = 4, ("-X", "importtime")
SPEED, PACKAGES = 1.5, ("torch", "diffusers", "transformers", "peft", "accelerate")


def mini_task(folder: Path, *, steps: int, captioned: bool, precision: str) -> Task:
    """The recipe mini_lora, as far as both sides can follow it."""
    return Task(
        folder=str(folder),
        model=str(MODEL),
        family="flux",
        preset="all_block_linears",
        side=64,
        train=48,
        held_out=16,
        captioned=captioned,
        max_tokens=32,
        guidance=1.0,
        steps=steps,
        warmup_steps=min(10, steps - 1),
        batch_size=4,
        rank=8,
        lr=8e-4,
        weight_decay=1e-4,
        beta2=0.99,
        precision=precision,
        compiled=False,
        device="cpu",
    )


def compare(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All repetitions, then the losses of what they made."""
    sides = Sides(
        options.diffusers,
        options.peer_python,
        surroundings({"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": str(options.threads)}),
    )
    task = mini_task(
        folder / "task", steps=options.steps, captioned=options.prompts == "captions", precision=options.precision
    )
    sides.help("prepare", task.write())
    short = replace(task, steps=IMPORT_STEPS, warmup_steps=0)
    runs: dict[Side, list[Measured]] = {side: [] for side in SIDES}
    imports: dict[Side, list[float]] = {side: [] for side in SIDES}
    for seed in range(options.repetitions):
        for side in SIDES if seed % 2 == 0 else SIDES[::-1]:
            place = folder / side / str(seed)
            imports[side].append(sides.train(side, short, place / "few", seed=seed, flags=IMPORT_FLAGS).import_s)
            runs[side].append(sides.train(side, task, place / "whole", seed=seed))
            print(f"{side}, seed {seed}: {runs[side][-1]}; imports {imports[side][-1]:.1f} s", file=sys.stderr)
    made = [folder / side / str(seed) / "whole" / WEIGHTS for side in SIDES for seed in range(options.repetitions)]
    base, *losses = sides.judge(task, folder / "judge", made)
    ours = told(runs["ours"], imports["ours"], losses[: options.repetitions])
    theirs = told(runs["theirs"], imports["theirs"], losses[options.repetitions :])
    script = options.diffusers / commands.SCRIPTS["flux"]
    return {
        "script_sha256": hashlib.sha256(script.read_bytes()).hexdigest(),
        "packages": {name: version(name) for name in PACKAGES},
        "precision": options.precision,
        "prompts": options.prompts,
        "steps": options.steps,
        "cores": options.cores,
        "threads": options.threads,
        "base_held_out_loss": base,
        "sides": {"ours": ours, "theirs": theirs},
        "bars": [
            at_least("times their speed, imports included", theirs["adapter_s"] / ours["adapter_s"], SPEED),
            at_least("the same, without imports", theirs["without_imports_s"] / ours["without_imports_s"], SPEED),
            at_most("peak memory, in theirs", ours["peak_mib"] / theirs["peak_mib"], 1),
            at_most("held-out loss, in theirs", ours["held_out_loss"] / theirs["held_out_loss"], 1),
        ],
    }


def told(runs: list[Measured], imports: list[float], losses: list[float]) -> dict[str, Any]:
    """A side in medians, with every run."""
    import_s, adapter_s = statistics.median(imports), median(runs, "adapter_s")
    return {
        "adapter_s": round(adapter_s, 2),
        "import_s": round(import_s, 2),
        "without_imports_s": round(adapter_s - import_s, 2),
        "first_step_s": round(median(runs, "first_step_s"), 2),
        "step_ms": round(1000 * median(runs, "step_s"), 2),
        "cpu_s": round(median(runs, "cpu_s"), 2),
        "peak_mib": round(median(runs, "peak_mib"), 1),
        "held_out_loss": round(statistics.mean(losses), 5),
        "held_out_losses": losses,
        "runs": [asdict(run) for run in runs],
        "imports_s": imports,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--diffusers", type=Path, required=True, help="a checkout of huggingface/diffusers")
    parser.add_argument("--peer-python", default=sys.executable, help="the interpreter of their script")
    parser.add_argument("--prompts", choices=("captions", "one"), default="captions")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--cores", type=int, default=2, help="that all processes share (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="of torch, on either side (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):  # of this process, which its children inherit
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    with tempfile.TemporaryDirectory(prefix="director-bench-") as folder:
        report = compare(Path(folder), options)
    return print_report(report, as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
