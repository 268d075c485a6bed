"""Buckets: the whole graph over an S3 server of which one request in five fails.

One run over a bucket of a server (on loopback) whose requests fail at 20 %: 503, 500, resets, answers that are lost
after the work was done, and bodies that break off, by turns of chance.  As many as there are of each are answered
slowly, and rightly: these are counted apart.  Where a run fails it is run
again.  In the end, with no more faults, the bucket must hold what a folder holds after an undisturbed run, every
version whole, and no lock; and one more run must find nothing to do.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.bars import at_least, at_most
from benchmarks.faulting.disks import said
from benchmarks.faulting.worlds import (
    Asked,
    Undisturbed,
    as_rows,
    differing,
    made_in,
    new_world,
    run,
    say,
)
from director_diffusion.hashing import hash_bytes
from director_diffusion.storage import Store
from director_diffusion.storage.artifact import Manifest
from tests.s3_server import FAULTS, s3_server
from tests.tiny_project import WHOLE_RUN

RATE, BUCKET, RUNS = 0.2, "faults", 5
SLOW = "slow"


def measure(folder: Path, asked: Asked) -> dict[str, Any]:
    """See the module's words."""
    undisturbed = Undisturbed.make(folder / "undisturbed")
    with s3_server() as server:
        server.client().create_bucket(Bucket=BUCKET)
        url = f"s3://{BUCKET}/some/prefix"
        environment = {
            **server.environment,
            "DIRECTOR_STORE": url,
            "AWS_CONFIG_FILE": str(folder / "no-aws-config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(folder / "no-aws-credentials"),
        }
        world = new_world(folder / "world", environment, votes="sqlite:///votes.sqlite", store_cache={"folder": "kept"})
        runs = []
        with server.failing(*FAULTS, rate=_disturbed(RATE), seed=asked.seed) as faults:
            while not runs or (runs[-1]["exit_code"] and len(runs) < RUNS):
                outcome = run(world)
                runs.append({"exit_code": outcome.code, "said": said(outcome)})
                say(f"{runs[-1]}, {sum(told_apart(faults)[0].values())} faults in {len(server.asked)} requests")
        requests = len(server.asked)
        store = Store(url)
        wrong, locks = _half_written(store), store.names("locks")
        different = differing(undisturbed.made, made_in(store))
        last = run(world)
    failed, slow = told_apart(faults)
    reused = sum(row["reused"] for row in as_rows(last.out)) if last.code == 0 else 0
    return {
        "requests": requests,
        "faults": failed,
        "slow": slow,
        "runs": runs,
        "half_written": wrong,
        "differing": different,
        "bars": [
            at_least("share of requests that failed", sum(failed.values()) / requests, 0.8 * RATE),
            at_least("requests answered slowly", slow, 1),
            at_most("runs until it was done", len(runs), RUNS),
            at_most("last run's exit code", runs[-1]["exit_code"], 0),
            at_most("stages that differ from an undisturbed run's", len(different), 0),
            at_most("things half-written that a reader could see", len(wrong), 0),
            at_most("locks left", len(locks), 0),
            at_least("stages that one more run reused", reused, WHOLE_RUN),
        ],
    }


def _disturbed(failing: float) -> float:
    """The share of requests that are failed or slow, where so many are to fail."""
    return failing * len(FAULTS) / (len(FAULTS) - 1)


def told_apart(done: Mapping[str, int]) -> tuple[dict[str, int], int]:
    """Faults by their sort, and slow answers, which are none."""
    return {sort: count for sort, count in sorted(done.items()) if sort != SLOW}, done.get(SLOW, 0)


def _half_written(store: Store) -> list[str]:
    wrong = []
    names = [name for name in store.below("assets") if name.endswith("/artifact.json")]
    for name in names:
        manifest = Manifest.model_validate_json(store.read(f"assets/{name}"))
        place = f"assets/{name.removesuffix('/artifact.json')}"
        files = [f"{place}/{file.name}" for file in manifest.files]
        hashes = [file.sha256 for file in manifest.files]
        wrong += [one for one, sha in zip(files, hashes, strict=True) if hash_bytes(store.read(one)) != sha]
        wrong += sorted(set(manifest.references) - store.present(manifest.references))
    return wrong
