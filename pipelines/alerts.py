"""Alerts: failed runs and directors that were not evaluated lately, told to a webhook.

Belongs here: what is worth an alert, and its words.  How it is posted is `resources.alerts`'.
"""

import datetime
import json
from collections.abc import Iterator, Sequence

import dagster as dg

from assets_defs.freshness import EVALUATED_LATELY, evaluation_key, lately_key, overdue, told
from director_diffusion.specs import Project
from pipelines.ui_reload import ui_address
from resources.alerts import AlertsResource

WILL_RETRY = "dagster/will_retry"
MOST_NAMES = 20  # of directors, in one alert


def failed_runs_sensor(*, on: bool) -> dg.SensorDefinition:
    """Tells of every run that failed, unless Dagster runs it again by itself."""

    @dg.run_failure_sensor(
        name="failed_runs",
        minimum_interval_seconds=30,
        description="Posts every failed run to the webhook (DIRECTOR_WEBHOOK).",
        default_status=_status(on),
    )
    def failed_runs(context: dg.RunFailureSensorContext, alerts: AlertsResource) -> dg.SkipReason | None:
        run = context.dagster_run
        if alerts.url is None:
            return dg.SkipReason("There is no webhook: set DIRECTOR_WEBHOOK.")
        if run.tags.get(WILL_RETRY) == "true":
            return dg.SkipReason(f"Run {run.run_id} is run again by itself.")
        director = run.tags.get("dagster/partition")
        errors = dict(_errors(context.get_step_failure_events())) or {"": context.failure_event.message or "no reason"}
        told_of = f"{director}: {run.job_name}" if director else run.job_name
        reasons = "\n".join(f"{step}: {error}" if step else error for step, error in errors.items())
        url = f"http://{ui_address()}/runs/{run.run_id}"
        alerts.post(
            f"{told_of} failed.\n{reasons}\n{url}",
            event="run_failed",
            director=director,
            job=run.job_name,
            run_id=run.run_id,
            errors=errors,
            url=url,
        )
        return None

    return failed_runs


def _errors(events: Sequence[dg.DagsterEvent]) -> Iterator[tuple[str, str]]:
    """The words of each failed step, as a person can act on them, without traceback."""
    for event in events:
        failure = event.step_failure_data
        stated = failure.user_failure_data
        if stated is not None and stated.description:
            yield str(event.step_key), stated.description
        elif (error := failure.error) is not None:
            while error.cause is not None:  # Dagster's own errors wrap the one that was raised
                error = error.cause
            yield str(event.step_key), error.message.strip()


def freshness_sensor(
    project: Project, partitions: dg.StaticPartitionsDefinition, days: float, *, on: bool
) -> dg.SensorDefinition:
    """Reports the check `evaluated_lately` where its outcome changes, and tells of directors that are overdue."""
    keys = [lately_key(recipe) for recipe in project.recipes]

    @dg.sensor(
        name="freshness",
        target=dg.AssetSelection.checks(*keys),
        minimum_interval_seconds=600,
        description=f"Reports {EVALUATED_LATELY} of every trained director, and posts those that are overdue.",
        default_status=_status(on),
    )
    def freshness(context: dg.SensorEvaluationContext, alerts: AlertsResource) -> dg.SensorResult:
        before: dict[str, dict[str, bool]] = json.loads(context.cursor) if context.cursor else {}
        slugs, now = partitions.get_partition_keys(), datetime.datetime.now(datetime.UTC)
        after, events, newly = {}, [], {}
        for recipe in project.recipes:
            trained = context.instance.get_materialized_partitions(dg.AssetKey([recipe, "adapter"])) & set(slugs)
            late = overdue(context.instance, recipe, trained, days, now)
            seen = before.get(recipe, {})
            after[recipe] = {slug: slug in late for slug in sorted(trained)}
            changed = [slug for slug, is_late in after[recipe].items() if seen.get(slug) is not is_late]
            newly[recipe] = [slug for slug in changed if slug in late]
            events += [_event(recipe, slug, slug in late, days) for slug in changed]
        if alerts.url is not None and any(newly.values()):
            alerts.post(_overdue_words(newly, days), event="overdue", days=days, directors=newly)
        return dg.SensorResult(asset_events=events, cursor=json.dumps(after))

    return freshness


def _event(recipe: str, slug: str, late: bool, days: float) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=evaluation_key(recipe),
        check_name=EVALUATED_LATELY,
        passed=not late,
        severity=dg.AssetCheckSeverity.WARN,
        description=told(late, days),
        partition=slug,
    )


def _overdue_words(newly: dict[str, list[str]], days: float) -> str:
    lines = []
    for recipe, slugs in newly.items():
        if slugs:
            more = f" and {len(slugs) - MOST_NAMES} more" if len(slugs) > MOST_NAMES else ""
            lines.append(f"{recipe}: {', '.join(slugs[:MOST_NAMES])}{more}")
    return f"Not evaluated for {days:g} days:\n" + "\n".join(lines)


def _status(on: bool) -> dg.DefaultSensorStatus:
    return dg.DefaultSensorStatus.RUNNING if on else dg.DefaultSensorStatus.STOPPED
