"""Steps in other places, of which one may be lost: what is the same whatever the cluster.

Belongs here: saying in which process a run lives, and trying a lost step again.  A step that failed by itself would
fail again, and its stage says which errors are worth another try; one whose machine died is begun anew elsewhere, and
goes on from what it left in the store.  One that could still say that it was told to end asks for that itself
(`resources.interrupts`).
"""

from collections.abc import Iterator

from dagster import DagsterEvent
from dagster._core.execution.context.system import IStepContext, PlanOrchestrationContext
from dagster._core.execution.plan.objects import StepRetryData
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.plan.state import KnownExecutionState
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.step_delegating import (
    CheckStepHealthResult,
    StepDelegatingExecutor,
    StepHandler,
    StepHandlerContext,
)
from dagster_shared.error import SerializableErrorInfo

from resources.interrupts import ENDING, LOST, PAUSE_S
from resources.process_tags import tag_run_with_this_process

LOOKS_EVERY_S = 10


class _AtWork(StepHandler):
    """A cluster's handler, which knows what steps it has at work."""

    def __init__(self, handler: StepHandler):
        self._handler = handler
        self._steps: dict[str, StepHandlerContext] = {}

    @property
    def name(self) -> str:
        return self._handler.name

    def launch_step(self, step_handler_context: StepHandlerContext) -> Iterator[DagsterEvent]:
        self._know(step_handler_context)
        yield from self._handler.launch_step(step_handler_context)

    def check_step_health(self, step_handler_context: StepHandlerContext) -> CheckStepHealthResult:
        self._know(step_handler_context)  # begun by an executor before this one
        return self._handler.check_step_health(step_handler_context)

    def terminate_step(self, step_handler_context: StepHandlerContext) -> Iterator[DagsterEvent]:
        for step in step_handler_context.execute_step_args.step_keys_to_execute or ():
            self.forget(step)
        yield from self._handler.terminate_step(step_handler_context)

    def forget(self, step: str) -> None:
        self._steps.pop(step, None)

    def end(self) -> None:
        """Have all end that are still at work."""
        for context in list(self._steps.values()):
            list(self.terminate_step(context))

    def _know(self, context: StepHandlerContext) -> None:
        for step in context.execute_step_args.step_keys_to_execute or ():
            self._steps[step] = context


class Delegating(StepDelegatingExecutor):
    """Dagster's own, with a run that says where it lives and steps that may be lost."""

    def __init__(self, handler: StepHandler, *, looks_every_s: int = LOOKS_EVERY_S):
        self._at_work = _AtWork(handler)
        super().__init__(
            self._at_work,
            retries=RetryMode.ENABLED,
            check_step_health_interval_seconds=looks_every_s,
            should_verify_step=True,
        )

    def execute(self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan) -> Iterator[DagsterEvent]:
        """The run's process is this one, and not its steps', which come and go on any machine."""
        tag_run_with_this_process(plan_context.instance, plan_context.run_id)
        try:
            for event in super().execute(plan_context, execution_plan):
                if event.is_step_success or event.is_step_failure or event.is_step_up_for_retry:
                    self._at_work.forget(event.step_key or "")
                yield event
        finally:
            run = plan_context.instance.get_run_by_id(plan_context.run_id)
            # Of a run that may be taken up, Dagster leaves the steps alone, also where somebody has ended it for good.
            if run is None or run.status in ENDING:
                self._at_work.end()

    def log_failure_or_retry_event_after_error(
        self, step_context: IStepContext, err_info: SerializableErrorInfo, known_state: KnownExecutionState
    ) -> DagsterEvent:
        """What Dagster asks when a step's process is gone and has not said how it ended."""
        lost_before = known_state.get_retry_state().get_attempt_count(step_context.step.key)
        if lost_before >= LOST:
            return super().log_failure_or_retry_event_after_error(step_context, err_info, known_state)
        return DagsterEvent.step_retry_event(step_context, StepRetryData(error=err_info, seconds_to_wait=PAUSE_S))
