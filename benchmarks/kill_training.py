"""Whether a training that is killed, or terminated, at any moment ends in the very bytes of one that was not.

    python -m benchmarks.kill_training [--kills 10] [--steps 24] [--seed 0] [--director nolan] [--json]

For float32 and for bfloat16: one undisturbed `director run … --until adapter` says how long the stage takes and what it
makes.  Then, each time from the same store with everything but the adapter, a run is ended at a random moment of that
stage, by SIGKILL or by SIGTERM in turn, and a second one is left alone; the adapter's file must be the same to the bit,
and the curve with it.  Moments are drawn from the seed and reported, with the step that the second run went on from.
Exit code 1 where a bar is missed.

The recipe is mini_lora with few steps, dropout in the adapter and accumulated gradients.  Runs come from a fork server
that has imported the libraries: real processes, each with its own signals, at the price of a fork.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import yaml

from benchmarks.bars import at_least, print_report
from director_diffusion.hashing import hash_bytes, hash_file, short
from director_diffusion.training.rows import WEIGHTS

CHECKOUT = Path(__file__).resolve().parents[1]
PRECISIONS = ("float32", "bfloat16")
SIGNALS = (signal.SIGKILL, signal.SIGTERM)
STOPPED = 130  # exit code of a run that was told to end
STAGE = "mini_lora/adapter"

RUNS = multiprocessing.get_context("forkserver")
RUNS.set_forkserver_preload(["pipelines.cli.run", "director_diffusion.training.train", "pandas"])


class World:
    """Configs, store and Dagster home in one folder."""

    def __init__(self, folder: Path, director: str):
        self.folder, self.director = folder, director

    @classmethod
    def make(cls, folder: Path, director: str, *, steps: int, precision: str) -> "World":
        """The shipped project with a short training."""
        shutil.copytree(CHECKOUT / "configs", folder / "configs")
        (folder / "models").symlink_to(CHECKOUT / "models")
        path = folder / "configs" / "recipes" / "mini_lora.yaml"
        recipe = yaml.safe_load(path.read_text())
        recipe["adapter"]["dropout"] = 0.1
        recipe |= {"precision": precision, "steps": steps, "checkpoint_every": max(1, steps // 4)}
        recipe |= {"batch_size": 2, "gradient_accumulation": 2, "schedule": {"kind": "cosine", "warmup_steps": 2}}
        path.write_text(yaml.safe_dump(recipe, sort_keys=False))
        return cls(folder, director)

    def copy(self, folder: Path) -> "World":
        """The same, elsewhere."""
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.folder, folder, symlinks=True)
        return World(folder, self.director)

    def start(self, until: str) -> ForkServerProcess:
        process = RUNS.Process(target=_run, args=(self.folder, self.director, until))
        process.start()
        return process

    def run(self, until: str = "adapter") -> int | None:
        """Exit code of a run that is left alone."""
        process = self.start(until)
        process.join()
        return process.exitcode

    @property
    def is_in_stage(self) -> bool:
        """Whether the stage's lock is held."""
        name = short(hash_bytes(f"{STAGE}/{self.director}".encode()))
        return (self.folder / "store" / "locks" / f"{name}.holder").exists()

    def adapter(self) -> dict[str, str]:
        """Hashes of the stage's files, none where it was not made."""
        latest = self.folder / "store" / "assets" / STAGE / self.director / "latest.json"
        if not latest.exists():
            return {}
        files = (latest.parent / json.loads(latest.read_text())["key"]).iterdir()
        return {path.name: hash_file(path) for path in files if path.name in (WEIGHTS, "curve.parquet")}

    def resumes_from(self) -> int:
        """Step of the newest checkpoint."""
        found = (self.folder / "store" / "work").rglob("step-*")
        return max((int(path.name.removeprefix("step-")) for path in found), default=0)


def _run(folder: Path, director: str, until: str) -> None:
    """In a process of its own: `director run`, told to a file."""
    os.environ |= {
        "DIRECTOR_CONFIGS": str(folder / "configs"),
        "DIRECTOR_STORE": str(folder / "store"),
        "DAGSTER_HOME": str(folder / "home"),
        "XDG_CACHE_HOME": str(folder / "cache"),
    }
    from pipelines.cli.main import main

    arguments = ["run", director, "--recipe", "mini_lora", "--until", until, "--json"]
    with (folder / "log").open("a") as log, contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
        code = main(arguments)
    os._exit(code)


def disturbed(world: World, moment: float, sign: signal.Signals) -> dict[str, Any] | None:
    """End a run `moment` seconds into the stage, then let another end by itself.  None where it was over by then."""
    process = world.start("adapter")
    while process.is_alive() and not world.is_in_stage:
        time.sleep(0.002)
    process.join(moment)
    if not process.is_alive() or not world.is_in_stage:
        process.join()
        return None
    assert process.pid is not None
    os.kill(process.pid, sign)
    process.join()
    return {
        "after_s": round(moment, 2),
        "signal": sign.name,
        "ended_as_asked": process.exitcode == (-signal.SIGKILL if sign == signal.SIGKILL else STOPPED),
        "resumed_from": world.resumes_from(),
        "exit_code": world.run(),
        "adapter": world.adapter(),
    }


def rounds_of(folder: Path, options: argparse.Namespace, precision: str, rng: random.Random) -> dict[str, Any]:
    """All rounds of one precision."""
    begun = World.make(folder / precision, options.director, steps=options.steps, precision=precision)
    for until in ("latents", "prompt_embeddings"):
        assert begun.run(until) == 0, (begun.folder / "log").read_text()
    whole = begun.copy(folder / "whole")
    process = whole.start("adapter")
    while process.is_alive() and not whole.is_in_stage:
        time.sleep(0.002)
    started = time.monotonic()
    process.join()
    seconds, wanted = time.monotonic() - started, whole.adapter()
    assert wanted, (whole.folder / "log").read_text()
    rounds: list[dict[str, Any]] = []
    while len(rounds) < options.kills:
        moment, sign = rng.uniform(0, seconds), SIGNALS[len(rounds) % len(SIGNALS)]
        one = disturbed(begun.copy(folder / "disturbed"), moment, sign)
        if one is None:
            seconds = moment  # the machine was slower before: the stage was over, and another moment is drawn
            continue
        rounds.append(one | {"same": one["adapter"] == wanted})
        del rounds[-1]["adapter"]
        print(f"{precision}: {rounds[-1]}", file=sys.stderr, flush=True)
    return {"precision": precision, "stage_s": round(seconds, 1), "adapter": wanted[WEIGHTS], "rounds": rounds}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10, help="for each precision")
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--director", default="nolan")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="director-bench-") as folder:
        trainings = [rounds_of(Path(folder), options, precision, rng) for precision in PRECISIONS]
    rounds = [one for training in trainings for one in training["rounds"]]
    report = {
        "trainings": trainings,
        "kills": len(rounds),
        "bars": [
            at_least("adapters of the same bytes", sum(one["same"] for one in rounds), len(rounds)),
            at_least("runs that ended well after it", sum(one["exit_code"] == 0 for one in rounds), len(rounds)),
            at_least("runs that ended as the signal asks", sum(one["ended_as_asked"] for one in rounds), len(rounds)),
        ],
    }
    return print_report(report, as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
