"""The sweep: runs whose process is gone.

A run killed with -9 keeps its status "started" and its pool slot for ever.  Every run says in its tags which process it
lives in; whoever starts next on that host marks those failed whose process has died, and frees their slots.
"""

import dagster as dg
from dagster import DagsterRunStatus
from dagster._core.storage.tags import MAX_RETRIES_TAG

from resources.process_tags import PID, process_is_gone

NOT_AGAIN = {MAX_RETRIES_TAG: "0"}  # by the daemon; a run that says it will be raises no alert
# `director run` names its process from the first; a run that waits to be launched by a daemon names none yet.
UNFINISHED = [
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]


def sweep_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark dead runs failed and free their pool slots.  Returns their ids."""
    swept = []
    watched = instance.run_launcher.supports_check_run_worker_health  # by Dagster's run monitoring, on any machine
    for record in instance.get_runs(filters=dg.RunsFilter(statuses=UNFINISHED)):
        if watched and record.remote_job_origin is not None:
            continue  # it may be resumed elsewhere, while its steps go on
        if process_is_gone(record.run_id, record.tags):
            if record.remote_job_origin is None:  # of a command: the daemon cannot run it again, whatever it says
                instance.add_run_tags(record.run_id, NOT_AGAIN)
            instance.report_run_failed(
                record,
                message=f"The run's process {record.tags[PID]} is gone (killed, or the machine restarted); what it had "
                "finished is kept. Run it again to go on.",
            )
            instance.event_log_storage.free_concurrency_slots_for_run(record.run_id)
            swept.append(record.run_id)
    return swept
