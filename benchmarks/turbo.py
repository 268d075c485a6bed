"""Few-step students on mini: what they keep of the adapter drawn in 20 steps, for every demo director, and how fast.

    python -m benchmarks.turbo [--folder FOLDER] [--directors nolan …] [--json]

Makes the project `turbo` in `FOLDER`, with pictures of 20 steps, as far as it is not there yet (hours of one core);
then draws with the adapter and its students in turns.  Exit code 1 where a bar is missed.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import torch
import yaml

from benchmarks.bars import at_least, print_report
from director_diffusion.catalog import Catalog, load_catalog
from director_diffusion.distillation.rows import steps_of, weights_file
from director_diffusion.evaluation.few_steps_types import FEW_STEPS_FILE, FewSteps, few_steps_from
from director_diffusion.families import get_family
from director_diffusion.sampling.prompts import arm_prompt, noise_seed
from director_diffusion.sampling.samplers import few_steps, plan_sampler
from director_diffusion.storage import Store
from director_diffusion.storage.artifact import latest_artifact
from director_diffusion.training.rows import WEIGHTS

ROOT = Path(__file__).resolve().parent.parent
RECIPE, FULL_STEPS = "mini_lora_turbo", 20
KEEPS = {4: 0.95, 2: 0.85}  # of the style effect against the base, by steps
FASTER = 4.0  # images a second of four steps
PICTURES, TURNS = 16, 5


def configs_of(folder: Path) -> Path:
    """The shipped configs with pictures of 20 steps, the shipped models beside them."""
    configs = folder / "configs"
    if not (folder / "models").exists():
        (folder / "models").symlink_to(ROOT / "models")
    shutil.rmtree(configs, ignore_errors=True)  # of an earlier call, when they may have been others
    shutil.copytree(ROOT / "configs", configs)
    plan = yaml.safe_load((configs / "evaluations/mini.yaml").read_text())
    plan["sampling"]["steps"] = FULL_STEPS
    (configs / "evaluations/mini.yaml").write_text(yaml.safe_dump(plan, sort_keys=False))
    return configs


def surroundings_of(folder: Path) -> dict[str, str]:
    places = {"DIRECTOR_STORE": "store", "DAGSTER_HOME": "home", "XDG_CACHE_HOME": "cache"}
    found = {name: str(folder / place) for name, place in places.items()}
    return {**found, "DIRECTOR_PROJECT": "turbo", "DIRECTOR_CONFIGS": str(configs_of(folder))}


def told(store: Store, director: str) -> tuple[FewSteps, ...]:
    return few_steps_from(latest_artifact(store, (RECIPE, "turbo_evaluation"), director).json(FEW_STEPS_FILE))


def rates(folder: Path, store: Store, catalog: Catalog, director: str) -> dict[str, float]:
    """Images a second, by steps: medians over turns, prompts and decoding among them, in the plan's batches."""
    torch.set_num_threads(1)
    base, plan, person = catalog.bases["mini"], catalog.evaluations["mini"], catalog.directors[director]
    painter = get_family(base.family).load_painter(
        folder / "models/mini/base",
        device="cpu",
        dtype=torch.float32,
        guidance_kind=base.guidance.kind,
        max_tokens=base.max_prompt_tokens,
    )
    full = plan_sampler(plan, base)
    adapter = latest_artifact(store, (RECIPE, "adapter"), director).path(WEIGHTS)
    students = latest_artifact(store, (RECIPE, "turbo_adapter"), director)
    ways = {FULL_STEPS: ((adapter,), full)} | {
        one.count: ((adapter, students.path(weights_file(one.count))), few_steps(full, base, one.count))
        for one in told(store, director)
    }
    prompts = [arm_prompt("adapter", prompt.text, person) for prompt in plan.prompts[:PICTURES]]
    seeds = [noise_seed(prompt.text, 0) for prompt in plan.prompts[:PICTURES]]
    size = plan.sampling.batch_size
    seconds: dict[int, list[float]] = {steps: [] for steps in ways}
    for turn in range(TURNS + 1):
        for steps, (stack, sampler) in ways.items():
            painter.attach(*stack)
            started = time.perf_counter()
            for first in range(0, PICTURES, size):
                painter.draw(prompts[first : first + size], seeds[first : first + size], **vars(sampler))
            if turn:  # the first one warms up
                seconds[steps].append(time.perf_counter() - started)
    return {str(steps): PICTURES / median(some) for steps, some in seconds.items()}


def bars_of(director: str, students: tuple[FewSteps, ...]) -> list[dict[str, Any]]:
    found = []
    for one in students:
        if (least := KEEPS.get(one.count)) is not None:
            name = f"{director}: share of the style effect kept in {steps_of(one.count)}"
            found.append(at_least(name, one.kept.get("base"), least))
        if one.count == 4:
            inferior = next(finding for finding in one.findings if finding.name == "prompt_kept")
            found.append(at_least(f"{director}: prompt fidelity in 4 steps, low end", inferior.low, inferior.bound))
    return found


def summary(students: tuple[FewSteps, ...]) -> Mapping[str, Any]:
    return {
        steps_of(one.count): {
            "verdict": one.verdict.outcome,
            "kept": dict(one.kept),
            "prompt": [round(value, 4) for value in (one.difference("prompt").mean, *_ends(one))],
        }
        for one in students
    }


def _ends(one: FewSteps) -> tuple[float, float]:
    return one.difference("prompt").low, one.difference("prompt").high


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="keeps what is made, for another call")
    parser.add_argument("--directors", nargs="*", default=[])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="director-bench-") as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        surroundings = surroundings_of(folder)
        made = [sys.executable, "-m", "pipelines.cli.main", "run", *options.directors, "--json"]
        subprocess.run(made, env=os.environ | surroundings, check=True, stdout=sys.stderr)
        store, catalog = Store(str(folder / "store")), load_catalog(folder / "configs")
        directors = options.directors or sorted(catalog.directors)
        found = {director: told(store, director) for director in directors}
        speed = rates(folder, store, catalog, directors[0])
        report = {
            "students": {director: summary(students) for director, students in found.items()},
            "images a second": {steps: round(rate, 3) for steps, rate in speed.items()},
            "bars": [
                *(bar for director, students in found.items() for bar in bars_of(director, students)),
                at_least(
                    f"images a second in 4 steps, times those in {FULL_STEPS}",
                    speed["4"] / speed[str(FULL_STEPS)],
                    FASTER,
                ),
            ],
        }
    return print_report(report, as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
