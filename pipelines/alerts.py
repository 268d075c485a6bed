"""Alerts: failed runs and directors that were not evaluated lately, told to a webhook.

Belongs here: what is worth an alert, and its words.  How it is posted is `resources.alerts`'.
"""

import datetime
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import dagster as dg

from assets_defs.freshness import EVALUATED_LATELY, evaluation_key, lately_key, overdue, told
from director_diffusion.errors import AlertError
from director_diffusion.specs import Project
from pipelines.ui_reload import ui_link
from resources.alerts import AlertsResource
from resources.secrets import without_secrets
from resources.store import StoreResource

WILL_RETRY = "dagster/will_retry"
MOST_NAMES = 20  # of directors, in one alert
MOST_RUNS = 1000  # at one look
MOST_AT_ONCE = 10  # alerts of a tick: Dagster ends one of a minute, and the webhook may be slow
OVERLAP_S = 60.0  # what is written at the same time may come to be read in another order


def failed_runs_sensor(*, on: bool) -> dg.SensorDefinition:
    """Tells of every run that failed, unless Dagster runs it again by itself.

    A run-failure sensor of Dagster's would not do: it passes over a run of which it could not tell, because the webhook
    was down.  This one remembers which it has told of, and begins again with the first that it could not.
    """

    @dg.sensor(
        name="failed_runs",
        minimum_interval_seconds=30,
        description="Posts every failed run to the webhook (DIRECTOR_WEBHOOK).",
        default_status=_status(on),
    )
    @without_secrets()
    def failed_runs(context: dg.SensorEvaluationContext, alerts: AlertsResource) -> dg.SensorResult:
        from_now = _Seen(datetime.datetime.now(datetime.UTC).timestamp(), [])
        if alerts.url is None:
            return dg.SensorResult(skip_reason="There is no webhook: set DIRECTOR_WEBHOOK.", cursor=from_now.written())
        seen, told = _Seen.read(context.cursor) or from_now, 0
        for record in _failed_since(context.instance, seen.since - OVERLAP_S):
            run = record.dagster_run
            if run.run_id in seen.runs:
                continue
            if run.tags.get(WILL_RETRY) != "true":
                if told == MOST_AT_ONCE:
                    break  # what a tick has told of is remembered at its end, which must come in time
                try:
                    _posted(context.instance, run, alerts)
                except AlertError:
                    if told:
                        break  # what was told is remembered first; the next tick fails, and is seen to
                    raise
                told += 1
            seen = seen.with_run(run.run_id, record.update_timestamp.timestamp())
        return dg.SensorResult(skip_reason=None if told else "No run has failed.", cursor=seen.written())

    return failed_runs


@dataclass(frozen=True)
class _Seen:
    """How far the sensor has come: the time of the last run that it looked at, and the last runs' ids."""

    since: float
    runs: list[str]

    @classmethod
    def read(cls, cursor: str | None) -> "_Seen | None":
        return cls(**json.loads(cursor)) if cursor else None

    def written(self) -> str:
        return json.dumps(asdict(self))

    def with_run(self, run_id: str, when: float) -> "_Seen":
        return _Seen(max(self.since, when), [*self.runs, run_id][-2 * MOST_RUNS :])


def _failed_since(instance: dg.DagsterInstance, since: float) -> Sequence[dg.RunRecord]:
    after = datetime.datetime.fromtimestamp(since, datetime.UTC)
    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=after)
    return instance.get_run_records(failed, limit=MOST_RUNS, order_by="update_timestamp", ascending=True)


def _posted(instance: dg.DagsterInstance, run: dg.DagsterRun, alerts: AlertsResource) -> None:
    director = run.tags.get("dagster/partition")
    errors = dict(_errors(_events(instance, run, dg.DagsterEventType.STEP_FAILURE)))
    if not errors:
        failures = _events(instance, run, dg.DagsterEventType.RUN_FAILURE)
        errors = {"": next((event.message for event in failures if event.message), "no reason")}
    told_of = f"{director}: {run.job_name}" if director else run.job_name
    reasons = "\n".join(f"{step}: {error}" if step else error for step, error in errors.items())
    url = f"{ui_link()}/runs/{run.run_id}"
    alerts.post(
        f"{told_of} failed.\n{reasons}\n{url}",
        event="run_failed",
        director=director,
        job=run.job_name,
        run_id=run.run_id,
        errors=errors,
        url=url,
    )


def _events(instance: dg.DagsterInstance, run: dg.DagsterRun, kind: dg.DagsterEventType) -> list[dg.DagsterEvent]:
    logged = (entry.dagster_event for entry in instance.all_logs(run.run_id, of_type=kind))
    return [event for event in logged if event is not None]


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
    @without_secrets()
    def freshness(context: dg.SensorEvaluationContext, alerts: AlertsResource, store: StoreResource) -> dg.SensorResult:
        before: dict[str, dict[str, bool]] = json.loads(context.cursor) if context.cursor else {}
        slugs, now = partitions.get_partition_keys(), datetime.datetime.now(datetime.UTC)
        after, events, newly = {}, [], {}
        for recipe in project.recipes:
            trained = context.instance.get_materialized_partitions(dg.AssetKey([recipe, "adapter"])) & set(slugs)
            late = overdue(store.get(), recipe, trained, days, now)
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
