"""LoKr beside LoRA on mini: style effect at fewer trainable parameters, and how far it hangs on the learning rate.

    python -m benchmarks.adapter_quality [--folder FOLDER] [--workers 2] [--plots FOLDER] [--json]

Every cell is the product's own path, `director run DIRECTOR --recipe R --until evaluation`, over recipes that differ
from mini_lora in adapter, seed and learning rate alone: five directors × three seeds × three learning rates × three
adapters.  What `FOLDER` holds of an earlier call is not done again.  Takes about an hour on two cores.  Exit code 1
where a bar is missed.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml

from benchmarks.bars import at_least, at_most, print_report
from director_diffusion.evaluation.types import Evaluation
from director_diffusion.storage import Store
from director_diffusion.storage.artifact import latest_artifact

ROOT = Path(__file__).resolve().parent.parent
ADAPTERS: dict[str, dict[str, Any]] = {
    "lora": {"kind": "lora", "rank": 8, "alpha": 8},
    "lokr_29": {"kind": "lokr", "factor": [5, 10]},  # 29 % of the LoRA's parameters
    "lokr_56": {"kind": "lokr", "factor": [5, 5]},
}
SEEDS = (0, 1, 2)
RATES = (3.0e-4, 8.0e-4, 3.0e-3)
USUAL = 8.0e-4  # mini_lora's own
KEPT, FEW, MORE = 0.95, 0.35, 0.65


@dataclass(frozen=True)
class Cell:
    """One recipe."""

    adapter: str
    seed: int
    rate: float

    @property
    def slug(self) -> str:
        return f"q_{self.adapter}_s{self.seed}_r{round(self.rate * 1e5)}"


@dataclass(frozen=True)
class Outcome:
    """What a director's adapter by a recipe came to."""

    style: float  # effect against the base asked by name
    prompt: float  # effect against the base
    verdict: str
    parameters: int


CELLS = [Cell(*settings) for settings in product(ADAPTERS, SEEDS, RATES)]


def write_configs(folder: Path) -> None:
    """The shipped configs with a recipe for every cell."""
    configs = folder / "configs"
    shutil.rmtree(configs, ignore_errors=True)
    shutil.copytree(ROOT / "configs", configs)
    if not (folder / "models").exists():
        (folder / "models").symlink_to(ROOT / "models")
    usual = yaml.safe_load((configs / "recipes" / "mini_lora.yaml").read_text())
    for cell in CELLS:
        adapter = {**ADAPTERS[cell.adapter], "targets": usual["adapter"]["targets"]}
        optimizer = {**usual["optimizer"], "lr": cell.rate}
        recipe = {**usual, "adapter": adapter, "optimizer": optimizer, "seed": cell.seed}
        (configs / "recipes" / f"{cell.slug}.yaml").write_text(yaml.safe_dump(recipe))
    project = yaml.safe_load((configs / "projects" / "demo.yaml").read_text())
    project |= {"recipes": [cell.slug for cell in CELLS], "bases": []}
    (configs / "projects" / "demo.yaml").write_text(yaml.safe_dump(project))
    plan = yaml.safe_load((configs / "evaluations" / "mini.yaml").read_text())
    plan.pop("previews", None)  # nobody looks
    (configs / "evaluations" / "mini.yaml").write_text(yaml.safe_dump(plan))


def run_all(folder: Path, directors: Sequence[str], workers: int) -> None:
    """Every cell of every director, directors shared among processes with a Dagster home each."""
    shared = {
        "DIRECTOR_CONFIGS": str(folder / "configs"),
        "DIRECTOR_STORE": str(folder / "store"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "DIRECTOR_PROJECT": "demo",
    }

    def start(number: int, words: Iterable[str]) -> subprocess.Popen[bytes]:
        environment = os.environ | shared | {"DAGSTER_HOME": str(folder / f"home-{number}")}
        command = [sys.executable, "-m", "pipelines.cli.main", "run", *words, "--until", "evaluation", "--json"]
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)

    # The first director's first cell draws the placeholder stills and the base's pictures, which all others share.
    running = [start(0, [directors[0], "--recipe", CELLS[0].slug])]
    _wait(running)
    _wait([start(number, directors[number::workers]) for number in range(workers) if directors[number::workers]])


def _wait(running: list[subprocess.Popen[bytes]]) -> None:
    codes = [process.wait() for process in running]  # all of them, whatever the first says
    if any(codes):
        raise SystemExit("a run failed; what it says stands above")


def read_outcomes(folder: Path, directors: Sequence[str]) -> dict[Cell, dict[str, Outcome]]:
    store = Store(str(folder / "store"))
    outcomes: dict[Cell, dict[str, Outcome]] = defaultdict(dict)
    for cell, director in product(CELLS, directors):
        evaluation = Evaluation.read(latest_artifact(store, (cell.slug, "evaluation"), director).local_folder)
        training = latest_artifact(store, (cell.slug, "adapter"), director).json("training.json")
        outcomes[cell][director] = Outcome(
            style=evaluation.effect(evaluation.style, "base_in_style").mean,
            prompt=evaluation.effect("prompt", "base").mean,
            verdict=evaluation.verdict.outcome,
            parameters=int(training["trainable_parameters"]),
        )
    return outcomes


def mean_style(outcomes: Mapping[Cell, Mapping[str, Outcome]], adapter: str, rate: float) -> float:
    """Over directors and seeds."""
    return fmean(
        outcome.style
        for cell, by_director in outcomes.items()
        if (cell.adapter, cell.rate) == (adapter, rate)
        for outcome in by_director.values()
    )


def report_of(outcomes: Mapping[Cell, Mapping[str, Outcome]]) -> dict[str, Any]:
    style = {name: {rate: mean_style(outcomes, name, rate) for rate in RATES} for name in ADAPTERS}
    spread = {name: max(by_rate.values()) - min(by_rate.values()) for name, by_rate in style.items()}
    parameters = {cell.adapter: next(iter(found.values())).parameters for cell, found in outcomes.items()}
    share = {name: parameters[name] / parameters["lora"] for name in ADAPTERS}
    return {
        "parameters": parameters,
        "style effect by learning rate": {
            name: {f"{rate:g}": v for rate, v in by.items()} for name, by in style.items()
        },
        "spread over learning rates": spread,
        "cells": [
            {"adapter": cell.adapter, "seed": cell.seed, "rate": cell.rate, "director": director, **vars(outcome)}
            for cell, found in outcomes.items()
            for director, outcome in found.items()
        ],
        "bars": [
            at_most("small LoKr: share of LoRA's trainable parameters", share["lokr_29"], FEW),
            at_least("small LoKr: share of LoRA's style effect", style["lokr_29"][USUAL] / style["lora"][USUAL], KEPT),
            at_most("larger LoKr: share of LoRA's trainable parameters", share["lokr_56"], MORE),
            at_least("larger LoKr: share of LoRA's style effect", style["lokr_56"][USUAL] / style["lora"][USUAL], 1.0),
            at_most("small LoKr: spread over learning rates, of LoRA's", spread["lokr_29"] / spread["lora"], 1.0),
            at_most("larger LoKr: spread over learning rates, of LoRA's", spread["lokr_56"] / spread["lora"], 1.0),
        ],
    }


def plot(outcomes: Mapping[Cell, Mapping[str, Outcome]], path: Path) -> None:
    """Style effect by learning rate: each director and seed a dot, their means a line."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    colours = dict(zip(ADAPTERS, ("#2171b5", "#b2182b", "#1b7837"), strict=True))
    for number, (name, colour) in enumerate(colours.items()):
        beside = 1.05 ** (number - 1)  # so that dots of one rate do not hide each other
        for axes, what in ((left, "style"), (right, "prompt")):
            values = {
                rate: [
                    getattr(o, what)
                    for c, found in outcomes.items()
                    if (c.adapter, c.rate) == (name, rate)
                    for o in found.values()
                ]
                for rate in RATES
            }
            axes.plot(RATES, [fmean(values[rate]) for rate in RATES], "o-", color=colour, label=name, linewidth=1.4)
            for rate in RATES:
                axes.plot([rate * beside] * len(values[rate]), values[rate], ".", color=colour, alpha=0.4, markersize=4)
    for axes, title in ((left, "style effect"), (right, "prompt effect")):
        axes.set_xscale("log")
        axes.set_xticks(RATES, [f"{rate:g}" for rate in RATES])
        axes.minorticks_off()
        axes.set_xlabel("learning rate", fontsize=9)
        axes.set_title(title, fontsize=10)
        axes.tick_params(labelsize=8)
    left.legend(fontsize=8, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="kept, and gone on with")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--plots", type=Path, help="folder that adapter_quality.png is written to")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    directors = sorted(path.stem for path in (ROOT / "configs" / "directors").glob("*.yaml"))
    with tempfile.TemporaryDirectory(prefix="director-bench-") as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        write_configs(folder)
        run_all(folder, directors, options.workers)
        outcomes = read_outcomes(folder, directors)
    if options.plots is not None:
        plot(outcomes, options.plots / "adapter_quality.png")
    report = report_of(outcomes)
    return print_report(
        report if options.json else {k: v for k, v in report.items() if k != "cells"}, as_json=options.json
    )


if __name__ == "__main__":
    sys.exit(main())
