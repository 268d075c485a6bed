"""Sensors: what happens when something outside changes.

Belongs here: noticing changed stills, captions and director files, new votes, and runs whose process has died.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import dagster as dg

from assets_defs.evaluation import evaluation_name
from assets_defs.votes import VOTES
from director_diffusion.hashing import hash_data, short
from director_diffusion.publishing.sign_offs import sign_off_name
from director_diffusion.specs import Project
from director_diffusion.storage import Store
from director_diffusion.training.picks import pick_name
from pipelines.jobs import root_selection, voted_on
from pipelines.priorities import NOTICED
from pipelines.sweep import sweep_dead_runs
from resources.secrets import without_secrets
from resources.store import StoreResource
from resources.votes import VotesResource


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
        seen: dict[str, str] = json.loads(context.cursor) if context.cursor else {}
        now = {
            slug: _fingerprint(store.get(), slug, configs, project.recipes) for slug in partitions.get_partition_keys()
        }
        changed = [slug for slug, mark in now.items() if mark and seen.get(slug) != mark]
        return dg.SensorResult(
            # No run key: Dagster would drop a folder's return to a state it had before.  The cursor tells what is new.
            run_requests=[dg.RunRequest(partition_key=slug, tags=NOTICED) for slug in changed],
            cursor=json.dumps(now),
        )

    return changed_inputs


def new_votes_sensor(project: Project, partitions: dg.StaticPartitionsDefinition) -> dg.SensorDefinition:
    """Counts the votes about a director again once there are more; what they say feeds nothing."""

    @dg.sensor(
        name="new_votes",
        target=voted_on(*project.recipes),
        minimum_interval_seconds=600,  # people vote for a while, and every count is a run
        description="Counts the votes about a director again once there are more.",
    )
    @without_secrets()
    def new_votes(context: dg.SensorEvaluationContext, votes: VotesResource) -> dg.SensorResult:
        ledger = votes.ledger()
        if ledger is None:
            return dg.SensorResult(skip_reason="This deployment has no ledger of votes.")
        try:
            counts = ledger.counts()
        finally:
            ledger.close()
        seen: dict[str, int] = json.loads(context.cursor) if context.cursor else {}
        more = [slug for slug in partitions.get_partition_keys() if counts.get(slug, 0) != seen.get(slug, 0)]
        judged = {slug: _evaluated(context.instance, project.recipes, slug) for slug in more}
        return dg.SensorResult(
            run_requests=[
                dg.RunRequest(
                    partition_key=slug,
                    asset_selection=[dg.AssetKey([recipe, VOTES]) for recipe in recipes],
                    tags=NOTICED,
                )
                for slug, recipes in judged.items()
                if recipes
            ],
            cursor=json.dumps(counts),
        )

    return new_votes


def _evaluated(instance: dg.DagsterInstance, recipes: Sequence[str], slug: str) -> list[str]:
    """The recipes of which there is an evaluation of this director."""
    name = evaluation_name("draft")
    return [one for one in recipes if slug in instance.get_materialized_partitions(dg.AssetKey([one, name]))]


def dead_runs_sensor() -> dg.SensorDefinition:
    """Frees what a killed run left behind: its status and its pool slots."""

    @dg.sensor(
        name="dead_runs",
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Marks runs failed whose process is gone, and frees their pool slots.",
    )
    @without_secrets()
    def dead_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        swept = sweep_dead_runs(context.instance)
        return dg.SkipReason(f"Swept {', '.join(swept)}." if swept else "No dead runs.")

    return dead_runs


def _fingerprint(store: Store, slug: str, configs: Path, recipes: Sequence[str]) -> str:
    """Names, sizes and times below the director's folder, the YAML, picks and sign-offs; "" without a folder."""
    entries = [[name, info.size, info.mark] for name, info in store.below(f"stills/{slug}").items()]
    if not entries:
        return ""
    spec = configs / "directors" / f"{slug}.yaml"
    text = spec.read_text(encoding="utf-8") if spec.exists() else ""  # removed while the server runs
    names = [name_of(recipe, slug) for recipe in recipes for name_of in (pick_name, sign_off_name)]
    records = {name: data.decode() for name, data in store.read_those(names).items()}
    return short(hash_data({"files": sorted(entries), "spec": text, "records": records}))
