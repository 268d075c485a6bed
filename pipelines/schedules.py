"""Schedules: what happens by the calendar.

The re-evaluation is a schedule over materialized partitions and not an automation condition: `on_cron` never fires when
nothing upstream has changed, and this must.
"""

from collections.abc import Sequence

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from assets_defs.turbo import TURBO_STAGES
from assets_defs.turbo_adapter import TURBO_ADAPTER
from director_diffusion.specs import Project
from pipelines.jobs import reevaluation_name
from pipelines.priorities import BY_ITSELF
from resources.making import FRESH_TAG
from resources.secrets import without_secrets

WEEKLY = "0 6 * * 1"  # Mondays at six, UTC


def weekly_reevaluations(
    project: Project, jobs: Sequence[UnresolvedAssetJobDefinition], partitions: dg.StaticPartitionsDefinition
) -> list[dg.ScheduleDefinition]:
    """One schedule per recipe: all directors that are trained, and only those; students where there are some."""
    by_name = {job.name: job for job in jobs}
    return [_weekly(recipe, by_name[reevaluation_name(recipe)], partitions) for recipe in project.recipes]


def _weekly(
    recipe: str, job: UnresolvedAssetJobDefinition, partitions: dg.StaticPartitionsDefinition
) -> dg.ScheduleDefinition:
    @dg.schedule(
        job=job,
        cron_schedule=WEEKLY,
        name=f"weekly_{job.name}",
        description=f"Samples and scores every trained director of {recipe} anew; a moved score is drift.",
    )
    @without_secrets()
    def weekly(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
        label = context.scheduled_execution_time.strftime("%G-w%V")
        ever = context.instance.get_materialized_partitions(dg.AssetKey([recipe, "adapter"]))
        trained = sorted(ever & set(partitions.get_partition_keys()))  # a director may have left the project since
        if not trained:
            return dg.SkipReason(f"No director has an adapter of {recipe} yet.")
        taught = context.instance.get_materialized_partitions(dg.AssetKey([recipe, TURBO_ADAPTER]))
        selected = context.repository_def.get_job(job.name).asset_layer.selected_asset_keys
        of_students = {key for key in selected if key.path[-1] in TURBO_STAGES}
        return [
            dg.RunRequest(
                run_key=f"{label}-{recipe}-{slug}",
                partition_key=slug,
                tags={FRESH_TAG: label, **BY_ITSELF},
                asset_selection=sorted(selected - (set() if slug in taught else of_students)),
            )
            for slug in trained
        ]

    return weekly
