"""Steps on Ray: each is a job of the cluster, on the node that has what it needs.

Belongs here: what dagster-ray is told.  Imported only where the deployment says `executor: ray`.
"""

from typing import Any

import dagster as dg
from dagster._core.executor.step_delegating import CheckStepHealthResult, StepHandlerContext
from dagster_ray import RayRunLauncher
from dagster_ray.configs import USER_DEFINED_RAY_KEY
from dagster_ray.core.executor import RayStepHandler
from ray.job_submission import JobStatus, JobSubmissionClient

from director_diffusion.specs import Deployment
from director_diffusion.specs.executors import RayCluster
from pipelines.executors.delegating import Delegating
from pipelines.surroundings import Surroundings
from resources.needs import Needs

GIB = 2**30
# Ray kills 3 s after it has asked: a training that is told to end saves a checkpoint first.
GRACE = {"RAY_JOB_STOP_WAIT_TIME_S": "120"}


def ray_executor(surroundings: Surroundings) -> dg.ExecutorDefinition:
    """Sends steps to the cluster; what of it each takes, its tags say."""
    cluster = _cluster(surroundings.deployment)
    told = {**surroundings.retold, **GRACE}

    @dg.executor(name="ray", requirements=dg.multiple_process_executor_requirements())
    def ray(context: dg.InitExecutorContext) -> Delegating:
        launcher = context.instance.run_launcher
        if isinstance(launcher, RayRunLauncher):  # and this process is a job of that cluster already
            return Delegating(_steps(launcher.client, told))
        return Delegating(_steps(JobSubmissionClient(cluster.address), told))

    return ray


def ray_tags(needs: Needs, deployment: Deployment) -> dict[str, Any]:
    """A GPU of the cluster for a step that needs one.  What names nothing would all run on the head: hence the CPU."""
    cluster = _cluster(deployment)
    wanted: dict[str, Any] = {"num_cpus": cluster.cpus}
    if deployment.gpus and (gpus := _gpus(needs, deployment)):
        wanted["num_gpus"] = gpus
        if cluster.memory_gib is not None:
            wanted["memory"] = int(cluster.memory_gib * GIB)
    return {USER_DEFINED_RAY_KEY: wanted}


def _steps(client: JobSubmissionClient, told: dict[str, str]) -> "_Steps":
    """Nothing of what a step takes is said here: it would overrule what the step's own tags say."""
    return _Steps(
        client=client,
        env_vars=[f"{name}={value}" for name, value in told.items()],
        runtime_env=None,
        num_cpus=None,
        num_gpus=None,
        memory=None,
        resources=None,
    )


class _Steps(RayStepHandler):
    """dagster-ray's, to which a job that somebody stopped in Ray's dashboard would be in good health for ever."""

    def check_step_health(self, step_handler_context: StepHandlerContext) -> CheckStepHealthResult:
        """Whether the step's process is there, or has ended well."""
        name = self._get_ray_job_submission_id(step_handler_context)
        found = super().check_step_health(step_handler_context)
        if found.is_healthy and self.client.get_job_status(name) == JobStatus.STOPPED:
            return CheckStepHealthResult.unhealthy(f"Ray job {name} was stopped.")
        return found


def _gpus(needs: Needs, deployment: Deployment) -> int:
    """As the deployment says: a run's own tag comes too late for what is written on a step."""
    return needs.devices({}, gpus=deployment.gpus, training_processes=deployment.training_processes)


def _cluster(deployment: Deployment) -> RayCluster:
    return deployment.ray or RayCluster()
