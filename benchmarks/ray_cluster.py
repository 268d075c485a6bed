"""Whether a Ray cluster trains two directors at once, and loses nothing but a few steps with a node.

    python -m benchmarks.ray_cluster [--steps 120] [--checkpoint-every 10] [--seed 0] [--json]

Two Ray nodes are started on this machine, each a raylet of its own with a logical GPU, and two directors' adapters are
launched as two runs by dagster-ray: run launcher and executor as `configs/dagster/ray.yaml` and `executor: ray` have
them, but records in SQLite.  Once both directors have checkpoints, all processes of the second node are killed with -9
at a random moment.  Its training must be begun again by the same run, on the node that is left, go on from its last
checkpoint, and end in the very bytes of a training that was left alone; the other one must not notice.
Exit code 1 where a bar is missed.
"""

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from dagster._core.definitions.reconstruct import ReconstructableRepository

from benchmarks.bars import at_least, at_most, print_report, within
from benchmarks.raying.nodes import Nodes, TogetherError, on_each
from director_diffusion.hashing import hash_file
from director_diffusion.progress import Silent
from director_diffusion.training.rows import RESUMED_FROM, WEIGHTS

CHECKOUT = Path(__file__).resolve().parents[1]
DIRECTORS = ("fincher", "nolan")
STAGE, JOB, STEP = "mini_lora/adapter", "make_mini_lora", "mini_lora__adapter"
PATIENCE_S = 3600.0
SETTINGS = {
    "telemetry": {"enabled": False},
    "run_launcher": {
        "module": "dagster_ray",
        "class": "RayRunLauncher",
        "config": {"ray": {"address": "http://127.0.0.1:8265"}},
    },
}
ENDED = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}


@dataclass
class World:
    """Configs, store and Dagster home in one folder, and what a process has to be told of them."""

    folder: Path

    @classmethod
    def make(cls, folder: Path, *, steps: int, checkpoint_every: int) -> "World":
        """The shipped demo with a short training, and a deployment of its own."""
        shutil.copytree(CHECKOUT / "configs", folder / "configs")
        (folder / "models").symlink_to(CHECKOUT / "models")
        recipe = folder / "configs" / "recipes" / "mini_lora.yaml"
        said = yaml.safe_load(recipe.read_text()) | {"steps": steps, "checkpoint_every": checkpoint_every}
        recipe.write_text(yaml.safe_dump(said, sort_keys=False))
        cluster = {"store": "store", "executor": "ray", "device": "cpu", "gpus": 2, "cpu_threads": 1}
        deployment = folder / "configs" / "deployments" / "cluster.yaml"
        deployment.write_text(yaml.safe_dump(cluster | {"hub": {"kind": "folder"}}))
        (folder / "home").mkdir()
        (folder / "home" / "dagster.yaml").write_text(yaml.safe_dump(SETTINGS))
        return cls(folder)

    def variables(self, deployment: str, store: str = "store") -> dict[str, str]:
        return {
            "DIRECTOR_PROJECT": "demo",
            "DIRECTOR_DEPLOYMENT": deployment,
            "DIRECTOR_CONFIGS": str(self.folder / "configs"),
            "DIRECTOR_STORE": str(self.folder / store),
            "DAGSTER_HOME": str(self.folder / "home"),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
        }

    def run_here(self, stages: list[str], store: str = "store") -> None:
        """Make these stages of both directors in this process."""
        from pipelines.build import build_definitions
        from pipelines.cli.in_process import errors_of, run_job
        from pipelines.home import prepare_home, prepare_store
        from pipelines.surroundings import read_surroundings
        from resources.machine import ProgressResource

        surroundings = read_surroundings(os.environ | self.variables("local", store))
        definitions = build_definitions(surroundings, {"progress": ProgressResource()})
        with prepare_home(surroundings) as instance:
            prepare_store(surroundings, Silent)
            for director in DIRECTORS:
                keys = [dg.AssetKey(stage.split("/")) for stage in stages]
                errors = errors_of(run_job(definitions, instance, JOB, keys, partition=director))
                assert not errors, errors

    def made(self, director: str, store: str = "store") -> Path:
        """The folder of a director's adapter."""
        latest = self.folder / store / "assets" / STAGE / director / "latest.json"
        return latest.parent / json.loads(latest.read_text())["key"]

    def checkpoints(self, director: str) -> list[int]:
        """Steps of the finished ones."""
        found = (self.folder / "store" / "work" / "trainings" / STAGE / director).glob("*/step-*/identity.json")
        return sorted(int(path.parent.name.removeprefix("step-")) for path in found)


def launch(instance: dg.DagsterInstance, director: str) -> str:
    """A run of the adapter alone, as the UI launches it: by the run launcher."""
    repository = ReconstructableRepository.for_module("pipelines.definitions", "defs", str(CHECKOUT))
    key = dg.AssetKey(STAGE.split("/"))
    job = repository.get_reconstructable_job(JOB).get_subset(asset_selection={key})
    run = instance.create_run_for_job(
        job.get_definition(),
        tags={"dagster/partition": director},
        asset_selection={key},
        job_code_origin=job.get_python_origin(),
    )
    instance.launch_run(run.run_id, None)  # type: ignore[arg-type]
    return run.run_id


def times(instance: dg.DagsterInstance, run_id: str, kind: dg.DagsterEventType) -> list[float]:
    return [entry.timestamp for entry in instance.all_logs(run_id, of_type=kind)]


def trained(world: World, nodes: Nodes, options: argparse.Namespace, rng: random.Random) -> dict[str, Any]:
    """Launch both, kill a node, and tell what came of it."""
    with dg.DagsterInstance.get() as instance:
        instance.event_log_storage.set_concurrency_slots("gpu", 2)
        runs = {director: launch(instance, director) for director in DIRECTORS}
        of_run = {run_id: director for director, run_id in runs.items()}
        second = nodes.second._node_id
        deadline = time.monotonic() + PATIENCE_S
        while not all(world.checkpoints(director) for director in DIRECTORS):
            _look(instance, runs, deadline)
        time.sleep(rng.uniform(0, 5))
        at = [(of_run[run_id], node) for run_id, node in nodes.places(STEP)]
        shown = nodes.gpus_shown()
        lost, kept = on_each(at, nodes.cluster.head_node._node_id, second)
        processes, killed = nodes.kill_second(), time.time()
        before = {director: world.checkpoints(director) for director in DIRECTORS}
        print(f"killed {processes} processes of {lost}'s node; checkpoints {before}", file=sys.stderr, flush=True)
        while not all(_ended(instance, run_id) for run_id in runs.values()):
            _look(instance, {}, deadline)
        noticed = times(instance, runs[lost], dg.DagsterEventType.STEP_RESTARTED)
        retries = {d: len(times(instance, run, dg.DagsterEventType.STEP_UP_FOR_RETRY)) for d, run in runs.items()}
        told = times(instance, runs[lost], dg.DagsterEventType.STEP_UP_FOR_RETRY)
        statuses = {director: instance.get_run_by_id(run).status.value for director, run in runs.items()}  # type: ignore[union-attr]
        places = instance.event_log_storage.get_concurrency_info("gpu").active_slot_count
        ends = times(instance, runs[kept], dg.DagsterEventType.STEP_SUCCESS)
    facts = json.loads((world.made(lost) / "artifact.json").read_text())["metadata"]
    resumed = [fact["value"] for fact in facts if fact["label"] == RESUMED_FROM]
    return {
        "lost": lost,
        "gpus shown": shown,
        "nodes": len({node for _, node in at}),
        "checkpoints": before,
        "resumed_from": int(resumed[0]) if resumed else 0,
        "retries": retries,
        "statuses": statuses,
        "noticed_s": round(told[0] - killed, 1) if told else None,
        "begun_again_s": round(noticed[0] - killed, 1) if noticed else None,
        "other_ended_s": round(ends[0] - killed, 1) if ends else None,
        "places": places,
    }


def _ended(instance: dg.DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    return run is not None and run.status in ENDED


def _look(instance: dg.DagsterInstance, runs: Mapping[str, str], deadline: float) -> None:
    """Wait a moment.  Raises where one ended already, or it takes too long."""
    time.sleep(0.5)
    for director, run_id in runs.items():
        assert not _ended(instance, run_id), f"{director}'s run ended before the node was killed: give more --steps"
    assert time.monotonic() < deadline, "it takes too long"


def _at_once(nodes: int) -> dict[str, Any]:
    return at_least("directors that train at once, each on a node and a GPU", nodes, len(DIRECTORS))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--checkpoint-every", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="director-bench-") as folder:
        world = World.make(Path(folder), steps=options.steps, checkpoint_every=options.checkpoint_every)
        os.environ |= {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",  # a step is `dagster api …`
            "PYTHONPATH": str(CHECKOUT),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_JOB_START_TIMEOUT_SECONDS": str(int(PATIENCE_S)),
        }
        upstream = ["raw_stills", "still_decisions", "written_captions", "director", "stills", "captions"]
        world.run_here([*upstream, "mini/latents", "mini/prompt_embeddings", "mini_lora/pick"])
        shutil.copytree(world.folder / "store", world.folder / "alone")
        started = time.monotonic()
        world.run_here([STAGE], "alone")
        alone_s = (time.monotonic() - started) / len(DIRECTORS)
        print(f"an undisturbed training takes {alone_s:.1f} s", file=sys.stderr, flush=True)
        nodes = Nodes(world.folder, world.variables("cluster"))
        try:
            found = trained(world, nodes, options, random.Random(options.seed))
        except TogetherError as error:
            report = {"why": str(error), "bars": [_at_once(error.nodes)]}
            return print_report(report, as_json=options.json)
        finally:
            nodes.cluster.shutdown()
        same = sum(
            hash_file(world.made(director) / WEIGHTS) == hash_file(world.made(director, "alone") / WEIGHTS)
            for director in DIRECTORS
        )
    last, lost = found["checkpoints"][found["lost"]][-1], found["lost"]
    (kept,) = [director for director in DIRECTORS if director != lost]
    report = {
        "machine": {"cpus": os.cpu_count(), "steps": options.steps, "checkpoint_every": options.checkpoint_every},
        "alone_s": round(alone_s, 1),
        **found,
        "bars": [
            _at_once(found["nodes"]),
            at_least("steps to which Ray shows one GPU", found["gpus shown"].count(1), len(DIRECTORS)),
            at_most("steps to which it shows more", sum(one > 1 for one in found["gpus shown"]), 0),
            at_least("runs that ended well", sum(one == "SUCCESS" for one in found["statuses"].values()), 2),
            at_most("steps of finished checkpoints that were lost", last - found["resumed_from"], 0),
            within("times the lost step was begun again", found["retries"][lost], 1, 1),
            at_most("times the other one was", found["retries"][kept], 0),
            at_most("seconds until the loss was noticed", found["noticed_s"], 60),
            at_least("adapters of the same bytes as undisturbed", same, len(DIRECTORS)),
            at_most("places of the pool that stay taken", found["places"], 0),
        ],
    }
    return print_report(report, as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
