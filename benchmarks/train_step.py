"""What an optimizer step costs: samples a second, FLOP utilisation, peak memory.

    python -m benchmarks.train_step [--case CASE ...] [--steps N] [--json]

On a GPU, all cases of real shapes (Flux.1 and SDXL) run in processes of their own; without one, `mini`.  Weights are
random and created on the device: nothing is downloaded.  A case names its base, recipe, resolution and batch; `--side`,
`--batch` and `--recipe` put others in their place.  The bf16 matrix peak is measured in the same run.  The case in 4
bits needs bitsandbytes (`make install-quantised`) and 24 GB of temporary disk.  A case that fails misses all its bars,
and the others are measured nonetheless; what each came to is told on stderr as it ends.  Exit code 1 where a bar is
missed.
"""

import argparse
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.bars import at_least, at_most, print_report

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Case:
    """What is measured, and what is asked of it (None: nothing)."""

    shape: str  # of steps.shapes
    recipe: str
    side: int  # pixels
    batch: int = 1
    utilisation: float | None = None
    seconds: float | None = None  # a sample
    device_gib: float | None = None
    host_gib: float | None = None


CASES = {
    "flux_1024": Case("flux", "krea_lora", 1024, utilisation=0.55, seconds=0.38),
    "flux_512": Case("flux", "krea_lora", 512, batch=4, utilisation=0.55, seconds=0.10),
    "flux_nf4_1024": Case("flux", "krea_lora_nf4", 1024, device_gib=22, host_gib=32),
    "sdxl_1024": Case("sdxl", "sdxl_lora_1024", 1024, device_gib=15),
    "mini": Case("mini", "mini_lora", 64, batch=4),
}


def run_case(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Measure one case in this process."""
    from benchmarks.steps.flops import flops_per_sample, matmul_peak
    from benchmarks.steps.measure import measure_steps
    from benchmarks.steps.shapes import SHAPES
    from director_diffusion.catalog import load_catalog
    from director_diffusion.families import get_family

    case, device = CASES[name], "cuda" if torch.cuda.is_available() else "cpu"
    recipe = load_catalog(ROOT / "configs").recipes[options.recipe or case.recipe]
    side, batch = options.side or case.side, options.batch or case.batch
    recipe = recipe.model_copy(
        update={"batch_size": batch, "schedule": recipe.schedule.model_copy(update={"warmup_steps": 0})}
    )
    dtype = getattr(torch, recipe.precision)
    shape = SHAPES[case.shape]
    family, data = get_family(shape.family), shape.dataset(side)
    denoiser = shape.denoiser(device=device, dtype=dtype, quantised=recipe.quantised_base)
    first = data.train[0]
    flops = flops_per_sample(family, shape.on_meta(dtype), first.mean, {**first.prompt, **first.sizes})
    measured = measure_steps(
        denoiser, shape.family, data, recipe, device=device, steps=options.steps, warm_up=options.warm_up
    )
    peak = matmul_peak(device) if device == "cuda" else None
    achieved = flops / measured.seconds_per_sample
    report = {
        "case": asdict(case) | {"recipe": recipe.slug, "side": side, "batch": batch},
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "torch": torch.__version__,
        **asdict(measured),
        "samples_per_second": 1 / measured.seconds_per_sample,
        "tflop_per_sample": flops / 1e12,
        "tflops": achieved / 1e12,
        "peak_tflops": None if peak is None else peak / 1e12,
        "utilisation": None if peak is None else achieved / peak,
    }
    return report | {"bars": _bars(name, case, report)}


def _bars(name: str, case: Case, report: dict[str, Any]) -> list[dict[str, Any]]:
    bars = []
    if case.utilisation is not None and report["utilisation"] is not None:
        bars.append(at_least(f"{name}: FLOP utilisation", report["utilisation"], case.utilisation))
    if case.seconds is not None:
        bars.append(at_most(f"{name}: seconds a sample", report["seconds_per_sample"], case.seconds))
    if case.device_gib is not None and report["device_gib"] is not None:
        bars.append(at_most(f"{name}: GiB of device memory", report["device_gib"], case.device_gib))
    if case.host_gib is not None:
        bars.append(at_most(f"{name}: GiB of host memory", report["host_gib"], case.host_gib))
    return bars


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    usual = [name for name in CASES if (name == "mini") != torch.cuda.is_available()]
    parser.add_argument("--case", nargs="+", choices=CASES, default=usual)
    parser.add_argument("--recipe", help="of configs/recipes, in place of the case's")
    parser.add_argument("--side", type=int, help="pixels, in place of the case's")
    parser.add_argument("--batch", type=int, help="in place of the case's")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--warm-up", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if len(options.case) == 1:
        return print_report(run_case(options.case[0], options), as_json=options.json)
    reports = [run_alone(name, options) for name in options.case]
    bars = [bar for report in reports for bar in report.pop("bars")]
    return print_report({"cases": reports, "bars": bars}, as_json=options.json)


def run_alone(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Measure a case in a process of its own, so that memory is that case's alone."""
    words = [sys.executable, "-m", "benchmarks.train_step", "--case", name, "--json"]
    for option in ("recipe", "side", "batch", "steps", "warm_up"):
        if (value := getattr(options, option)) is not None:
            words += [f"--{option.replace('_', '-')}", str(value)]
    done = subprocess.run(words, cwd=ROOT, env=os.environ, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode not in (0, 1) or "{" not in done.stdout:
        problem = f"ended with exit code {done.returncode}"
        bars = [at_most(f"{name}: {problem}", None, 0)]
        report: dict[str, Any] = {"case": asdict(CASES[name]), "problem": problem, "bars": bars}
    else:
        report = json.loads(done.stdout[done.stdout.index("{") :])
    print(json.dumps({name: report}), file=sys.stderr, flush=True)
    return report


if __name__ == "__main__":
    sys.exit(main())
