"""The sensor `changed_inputs`: runs the roots of a director of whom people changed something.

Belongs here: what counts as a change, and when a run that failed is asked for again.
"""

import json
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import dagster as dg

from director_diffusion.hashing import hash_data, short
from director_diffusion.publishing.sign_offs import sign_off_name
from director_diffusion.specs import Project
from director_diffusion.storage import Store
from director_diffusion.training.picks import pick_name
from pipelines.jobs import root_selection
from pipelines.priorities import NOTICED
from resources.secrets import without_secrets
from resources.store import StoreResource

ASKED_TAG = "director/asked"  # of a run: which question it answers
AGAIN_AFTER_S = (600.0, 3600.0, 21_600.0, 86_400.0)  # what failed is asked for again, so often and no more
Outcome = Literal["succeeded", "under way", "cancelled", "failed"]
_FIRST: tuple[Outcome, ...] = ("succeeded", "under way", "cancelled", "failed")  # of several runs the one that counts
_ENDED: dict[dg.DagsterRunStatus, Outcome] = {
    dg.DagsterRunStatus.SUCCESS: "succeeded",
    dg.DagsterRunStatus.CANCELED: "cancelled",
    dg.DagsterRunStatus.FAILURE: "failed",
}


@dataclass(frozen=True)
class Asked:
    """A run that was asked for, and has not been seen to succeed."""

    mark: str  # of what the director's inputs were
    run: str  # the run's tag
    at: float  # seconds since 1970
    times: int


Seen = dict[str, str | Asked]  # by director; a mark alone: that has been looked at, or will not be asked for again


def changed_inputs_sensor(
    project: Project, partitions: dg.StaticPartitionsDefinition, configs: Path
) -> dg.SensorDefinition:
    """Looks at the roots of a director whose folder, YAML, picks or sign-offs changed; what depends on it is stale."""

    @dg.sensor(
        name="changed_inputs",
        target=root_selection(project),
        minimum_interval_seconds=30,
        description="Runs the roots of a director whose stills, what people decided or wrote of them, YAML, picks or "
        "sign-offs changed.",
    )
    @without_secrets()
    def changed_inputs(context: dg.SensorEvaluationContext, store: StoreResource) -> dg.SensorResult:
        seen, now = _read(context.cursor), time.time()
        marks = _fingerprints(store.get(), partitions.get_partition_keys(), configs, project.recipes)
        outcomes = _outcomes(context.instance, [one.run for one in seen.values() if isinstance(one, Asked)])
        after, requests = Seen(), list[dg.RunRequest]()
        for slug, mark in marks.items():
            before = seen.get(slug)
            if isinstance(before, Asked) and before.mark != mark and outcomes.get(before.run) == "under way":
                after[slug] = before  # two at once would only be in each other's way: whose end comes, asks anew
                continue
            mine = before if isinstance(before, Asked) and before.mark == mark else None
            if mine is not None:
                todo = _standing(mine, outcomes.get(mine.run, "failed"), now)
            else:
                todo = "nothing" if mark in ("", before) else "ask"
            if todo == "ask":
                mine = Asked(mark, f"{slug} {now:.3f}", now, 1 if mine is None else mine.times + 1)
                # No run key: Dagster would drop a folder's return to a state it had before.  The cursor tells what is
                # new, and the tag which run was to look at it.
                requests.append(dg.RunRequest(partition_key=slug, tags={**NOTICED, ASKED_TAG: mine.run}))
            after[slug] = mark if mine is None or todo == "nothing" else mine
        return dg.SensorResult(run_requests=requests, cursor=_written(after))

    return changed_inputs


def _standing(asked: Asked, outcome: Outcome, now: float) -> Literal["ask", "wait", "nothing"]:
    """What is to be done about a run that was asked for.  A person who cancelled it has decided."""
    if outcome in ("succeeded", "cancelled"):
        return "nothing"
    if outcome == "failed" and asked.times > len(AGAIN_AFTER_S):
        return "nothing"
    return "ask" if outcome == "failed" and now - asked.at > AGAIN_AFTER_S[asked.times - 1] else "wait"


def _outcomes(instance: dg.DagsterInstance, asked: Sequence[str]) -> dict[str, Outcome]:
    """What came of runs with these tags, of which Dagster or a person may have run some again; of those that were
    deleted, or never made, nothing.
    """
    statuses = defaultdict[str, set[Outcome]](set)
    records = instance.get_run_records(dg.RunsFilter(tags={ASKED_TAG: list(asked)})) if asked else ()
    for run in (record.dagster_run for record in records):
        statuses[run.tags[ASKED_TAG]].add(_ENDED.get(run.status, "under way"))
    return {run: next(one for one in _FIRST if one in told) for run, told in statuses.items()}


def _read(cursor: str | None) -> Seen:
    told = json.loads(cursor) if cursor else {}
    return {slug: Asked(**one) if isinstance(one, dict) else one for slug, one in told.items()}


def _written(seen: Seen) -> str:
    return json.dumps({slug: asdict(one) if isinstance(one, Asked) else one for slug, one in seen.items()})


def _fingerprints(store: Store, slugs: Sequence[str], configs: Path, recipes: Sequence[str]) -> Mapping[str, str]:
    """Of each director: names, sizes and times below its folder, the YAML, picks and sign-offs; "" without a folder.

    Three listings and the records that there are, however many directors there are.
    """
    files = defaultdict[str, list[tuple[str, int, str]]](list)
    for name, info in store.below("stills").items():
        slug, _, file = name.encode("utf-8", "backslashreplace").decode().partition("/")  # be a name whatever it is
        files[slug].append((file, info.size, info.mark))
    there = {f"{kind}/{name}" for kind in ("picks", "sign_offs") for name in store.below(kind)}
    wanted = {
        slug: [name for recipe in recipes for of in (pick_name, sign_off_name) if (name := of(recipe, slug)) in there]
        for slug in slugs
        if slug in files
    }
    records = store.read_those([name for names in wanted.values() for name in names])
    found = dict.fromkeys(slugs, "")
    for slug, names in wanted.items():
        spec = configs / "directors" / f"{slug}.yaml"
        text = spec.read_text(encoding="utf-8") if spec.exists() else ""  # removed while the server runs
        told = {name: records[name].decode() for name in names if name in records}
        found[slug] = short(hash_data({"files": sorted(map(list, files[slug])), "spec": text, "records": told}))
    return found
