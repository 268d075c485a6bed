"""Runs in this process: how a command runs a job quietly, and what it tells of what went wrong."""

import io
import os
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType

import dagster as dg
from dagster._core.errors import DagsterAssetCheckFailedError
from dagster._core.events import RunFailureReason
from dagster._core.execution.plan.objects import ErrorSource
from rich.console import Console

from assets_defs.leaderboard import LEADERBOARD
from director_diffusion.storage.disk import refused_by_disk
from pipelines.dagster_settings import explained, in_step
from pipelines.jobs import RANK
from pipelines.sweep import NOT_AGAIN, sweep_dead_runs
from resources.process_tags import process_tags

# Libraries' own bars and remarks would tear ours; set before any of them is imported.
QUIET_LIBRARIES = {
    "TQDM_DISABLE": "1",
    "DIFFUSERS_VERBOSITY": "error",
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def quiet_libraries() -> None:
    """Keep libraries from writing on the terminal."""
    for name, value in QUIET_LIBRARIES.items():
        os.environ.setdefault(name, value)


def sweep_and_tell(instance: dg.DagsterInstance, console: Console) -> None:
    """Mark runs failed whose process is gone, and say which."""
    with explained(Path(instance.root_directory)):
        swept = sweep_dead_runs(instance)
    for run_id in swept:
        console.print(f"Run {run_id[:8]} had been killed; it is now marked failed.")


def run_job(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    job: str,
    selection: Sequence[dg.AssetKey],
    *,
    partition: str | None = None,
    tags: Mapping[str, str] = MappingProxyType({}),
) -> dg.ExecuteInProcessResult:
    """Run some assets of a job here, as a run that names this process, with further `tags`.

    Raises KeyboardInterrupt, saying what was saved, where it was ended from outside: what follows must not begin; and
    StoreError where Dagster's records cannot be written.
    """
    run_id = str(uuid.uuid4())
    with explained(Path(instance.root_directory)), streams_given_back():
        result = definitions.resolve_job_def(job).execute_in_process(
            instance=instance,
            partition_key=partition,
            asset_selection=list(selection),
            run_config=QUIET,
            run_id=run_id,
            tags={**process_tags(run_id, os.getpid()), **NOT_AGAIN, **tags},
            raise_on_error=False,
        )
    _raise_interrupt(result)
    return result


@contextmanager
def streams_given_back() -> Iterator[None]:
    """Inside, Dagster has what is written to stdout and stderr go to files of its home; where those cannot be written
    any more, it does not give the streams back, and nobody would read why.

    Raises StoreError where it is the disk that refused.
    """
    lent = []
    for stream in (sys.stdout, sys.stderr):
        with suppress(io.UnsupportedOperation):  # of no file
            lent.append((stream.fileno(), os.dup(stream.fileno())))
    try:
        yield
    except OSError as error:
        raise refused_by_disk(error) or error from error
    finally:
        for number, kept in lent:
            os.dup2(kept, number)
            os.close(kept)


def _raise_interrupt(result: dg.ExecuteInProcessResult) -> None:
    for event in result.all_events:
        if event.is_step_failure and event.step_failure_data.error_source == ErrorSource.INTERRUPT:
            error = event.step_failure_data.error
            what = error.message.partition(f"{error.cls_name}: ")[2].strip() if error else ""
            raise KeyboardInterrupt(f"{event.step_key.replace('__', '/')} {what}" if what and event.step_key else "")
    if result.dagster_run.status == dg.DagsterRunStatus.CANCELED:
        raise KeyboardInterrupt
    for event in result.all_events:
        if event.is_job_failure and event.job_failure_data.failure_reason == RunFailureReason.UNEXPECTED_TERMINATION:
            raise KeyboardInterrupt


def rank(definitions: dg.Definitions, instance: dg.DagsterInstance) -> tuple[str, ...]:
    """Set all adapters side by side, as they are known now.  Returns what went wrong."""
    return errors_of(run_job(definitions, instance, RANK, [dg.AssetKey([LEADERBOARD])]))


def count_reused(result: dg.ExecuteInProcessResult) -> int:
    """Stages that did no work."""
    return sum(
        bool(event.materialization.metadata["reused"].value) for event in result.get_asset_materialization_events()
    )


def errors_of(result: dg.ExecuteInProcessResult) -> tuple[str, ...]:
    """What went wrong, in the words of the check or error itself, without the wrapping of those who passed it on."""
    found = [
        f"{check.asset_key.to_user_string()}: the check {check.check_name} failed. {check.description}"
        for check in result.get_asset_check_evaluations()
        if not check.passed and check.severity == dg.AssetCheckSeverity.ERROR
    ]
    for event in result.get_step_failure_events():
        if _is_failed_check(event):
            continue  # told above, in the check's own words
        data = event.step_failure_data
        if data.user_failure_data and data.user_failure_data.description:
            found.append(data.user_failure_data.description)
            continue
        error = data.error
        while error and error.cause:
            error = error.cause
        if error:
            message = error.message.strip() if error.message else str(error)
            found.append(in_step(message) or message.splitlines()[0])
    return tuple(found)


def _is_failed_check(event: dg.DagsterEvent) -> bool:
    error = event.step_failure_data.error
    return error is not None and error.cls_name == DagsterAssetCheckFailedError.__name__
