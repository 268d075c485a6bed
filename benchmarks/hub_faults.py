"""Whether publishing loses or doubles anything on a bad day of the Hub.

    python -m benchmarks.hub_faults [--pushes 500] [--repositories 25] [--faults 0.1] [--seed 0] [--json]

Each push publishes new content of one of several repositories to a loopback Hub that answers any request, with the
given probability, by a random fault: 503, 429 with Retry-After, 401, 403, a reset in the middle, an answer that is lost
after the work was done, no answer at all, work done only after the client has gone, another writer who commits first.
Where a push fails it is run again, as the orchestrator or a person would.  Between pushes of new content the one before
is sometimes run again, as published_model is.  Faults are drawn from the seed.  Exit code 1 where a bar is missed.
"""

import argparse
import logging
import random
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from benchmarks.bars import at_least, at_most, print_report
from director_diffusion.errors import DirectorError
from director_diffusion.publishing.hub_server import HubServer, Patience
from director_diffusion.publishing.publish import Publication, publish
from director_diffusion.training.rows import WEIGHTS
from tests.loopback_hub.faults import KINDS, REQUESTS, Fault, Kind, Request
from tests.loopback_hub.server import LoopbackHub

RUNS = 100  # of one push, at most
SHARES: dict[Kind, float] = {"hang": 0.2, "late": 0.2, "race": 3.0}  # of 1; the first two cost a timeout each
CARD = "---\nlicense: apache-2.0\nbase_model: director-diffusion/mini\ntags: [lora]\n---\n\n# {}\n"


@dataclass
class Tally:
    """What came of the pushes."""

    runs: list[int] = field(default_factory=list)  # until each was done
    errors: Counter[str] = field(default_factory=Counter)  # of runs that failed, by class
    unfinished: int = 0
    token_seen: int = 0  # times it stood in an error
    expected: dict[str, list[dict[str, bytes]]] = field(default_factory=dict)  # contents by repository, in order
    tags: dict[tuple[str, str], dict[str, bytes]] = field(default_factory=dict)  # contents by repository and tag


class BadDay:
    """Draws a fault for a request, or none."""

    def __init__(self, probability: float, seed: int):
        self.probability, self._draw = probability, random.Random(seed)

    def __call__(self, request: Request) -> Fault | None:
        if request not in REQUESTS or self._draw.random() >= self.probability:
            return None
        kinds = [kind for kind in KINDS if kind != "race" or request == "commit"]
        return Fault(self._draw.choices(kinds, [SHARES.get(kind, 1.0) for kind in kinds])[0], request)


def write_content(folder: Path, draw: np.random.Generator, push: int) -> dict[str, bytes]:
    """Change the repository's folder: always the weights, sometimes the card, sometimes which files there are."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({"x.lora_A.weight": draw.normal(size=(8, 64)).astype(np.float32)}, folder / WEIGHTS)
    if not (folder / "README.md").exists() or draw.random() < 0.5:
        (folder / "README.md").write_text(CARD.format(push))
    extra = folder / f"scores-{int(draw.integers(3))}.csv"
    if extra.exists():
        extra.unlink()
    else:
        extra.write_bytes(draw.bytes(200))
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def push_until_done(
    folder: Path, hub: HubServer, repo_id: str, tag: str, tally: Tally, loopback: LoopbackHub
) -> Publication | None:
    for run in range(1, RUNS + 1):
        try:
            publication = publish(folder, hub, repo_id, tag=tag)
        except DirectorError as error:
            tally.errors[type(error).__name__] += 1
            shown = traceback.TracebackException.from_exception(error, capture_locals=True).format()
            tally.token_seen += loopback.token in "".join(shown) + repr(error)
        else:
            tally.runs.append(run)
            return publication
    tally.unfinished += 1
    return None


def push_all(folder: Path, loopback: LoopbackHub, pushes: int, repositories: int, seed: int) -> Tally:
    draw, tally = np.random.default_rng(seed), Tally()
    hub = HubServer(
        loopback.endpoint,
        loopback.token,
        patience=Patience(timeout_s=0.2, attempts=3, wait_s=0.002, longest_wait_s=0.5),
    )
    for push in range(pushes):
        repo_id = f"studio/adapter-{int(draw.integers(repositories)):02d}"
        place = folder / repo_id.rpartition("/")[2]
        content = write_content(place, draw, push)
        tally.expected.setdefault(repo_id, []).append(content)
        publication = push_until_done(place, hub, repo_id, f"v{push}", tally, loopback)
        if publication is not None:
            tally.tags[repo_id, publication.tag] = content
            if draw.random() < 0.2:
                again = push_until_done(place, hub, repo_id, f"v{push}", tally, loopback)
                if again is not None and again.tag != publication.tag:
                    raise AssertionError(f"{repo_id}: {publication} is not {again}")
    return tally


def faults_of_history(loopback: LoopbackHub, tally: Tally) -> Counter[str]:
    """What is wrong in the repositories: contents without a commit, with several, wrong tags, others' files lost."""
    wrong: Counter[str] = Counter()
    for repo_id, contents in tally.expected.items():
        repository = loopback[repo_id]
        commits = [(oid, commit) for oid, commit in repository.history() if commit.author == "studio"]
        by_others = [commit for _, commit in repository.history() if commit.author == "somebody"]
        shown = []
        for oid, _ in reversed(commits):
            files = repository.contents(oid)
            files.pop("notes.txt", None)
            shown.append(files)
        wrong["lost"] += sum(content not in shown for content in contents)
        wrong["doubled"] += sum(max(0, shown.count(content) - 1) for content in contents)
        wrong["strange"] += sum(files not in contents for files in shown)
        wrong["last not shown"] += shown[-1] != contents[-1]
        wrong["others' lost"] += bool(by_others) and "notes.txt" not in repository.contents()
    for (repo_id, tag), content in tally.tags.items():
        files = loopback[repo_id].contents(tag)
        files.pop("notes.txt", None)
        wrong["tag wrong"] += files != content
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pushes", type=int, default=500)
    parser.add_argument("--repositories", type=int, default=25)
    parser.add_argument("--faults", type=float, default=0.1, help="probability of a fault, of each request")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    heard = StringIO()
    _listen(heard)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name, LoopbackHub(Path(name) / "hub") as loopback:
        loopback.faults.chance = BadDay(asked.faults, asked.seed)
        tally = push_all(Path(name) / "content", loopback, asked.pushes, asked.repositories, asked.seed)
        loopback.faults.clear()
        wrong = faults_of_history(loopback, tally)
        happened = Counter(fault.kind for fault in loopback.faults.happened)
        requests = len(loopback.asked)
    report: dict[str, Any] = {
        "seconds": round(time.monotonic() - began, 1),
        "pushes": asked.pushes,
        "requests": requests,
        "faults": dict(sorted(happened.items())),
        "failed runs": dict(tally.errors),
        "most runs of one push": max(tally.runs, default=0),
        "bars": [
            at_most("contents lost", wrong["lost"], 0),
            at_most("contents committed more than once", wrong["doubled"], 0),
            at_most("commits with parts of contents", wrong["strange"], 0),
            at_most("repositories that do not show the last content", wrong["last not shown"], 0),
            at_most("tags that give other content", wrong["tag wrong"], 0),
            at_most("repositories that lost another writer's file", wrong["others' lost"], 0),
            at_most("pushes not finished by running again", tally.unfinished, 0),
            at_most(
                "times the token stood in an error or a log",
                tally.token_seen + heard.getvalue().count(loopback.token),
                0,
            ),
            at_least("faults", sum(happened.values()), asked.pushes),
        ],
    }
    return print_report(report, as_json=asked.json)


def _listen(heard: StringIO) -> None:
    """Hear all that the libraries log, down to their requests, and print none of it."""
    import huggingface_hub.constants

    huggingface_hub.constants.HF_DEBUG = True
    for name in ("huggingface_hub", "httpx2", "httpcore2"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [logging.StreamHandler(heard)], False
        logger.setLevel(logging.DEBUG)


if __name__ == "__main__":
    raise SystemExit(main())
