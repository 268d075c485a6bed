"""Sensors: what happens when something outside changes.

Belongs here: noticing new votes, and runs whose process has died.  What people change of a director's inputs is
`changed_inputs`'.
"""

import json
from collections.abc import Sequence

import dagster as dg

from assets_defs.evaluation import evaluation_name
from assets_defs.votes import VOTES
from director_diffusion.specs import Project
from pipelines.jobs import voted_on
from pipelines.priorities import NOTICED
from pipelines.sweep import sweep_dead_runs
from resources.secrets import without_secrets
from resources.votes import VotesResource


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
