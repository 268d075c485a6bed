"""Steps on Kubernetes: each is a Job of the cluster, on a node that has what it needs.

Belongs here: what dagster-k8s is told.  Imported only where the deployment says `executor: kubernetes`.
"""

from typing import Any

import dagster as dg
from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.executor import K8sStepHandler
from dagster_k8s.job import USER_DEFINED_K8S_CONFIG_KEY
from dagster_k8s.launcher import K8sRunLauncher

from director_diffusion.errors import SpecError
from director_diffusion.specs import Deployment
from director_diffusion.specs.executors import KubernetesCluster
from pipelines.executors.delegating import Delegating
from pipelines.surroundings import Surroundings
from resources.needs import Needs

SHARED_MEMORY = "shared-memory"


def kubernetes_executor(surroundings: Surroundings) -> dg.ExecutorDefinition:
    """Sends steps to the cluster; what of it each takes, its tags say."""
    cluster = _cluster(surroundings.deployment)

    @dg.executor(name="kubernetes", requirements=dg.multiple_process_executor_requirements())
    def kubernetes(context: dg.InitExecutorContext) -> Delegating:
        launcher = context.instance.run_launcher
        if not isinstance(launcher, K8sRunLauncher):
            raise SpecError(
                f"deployment {surroundings.deployment.slug}, key executor",
                f"is kubernetes, and this Dagster launches its runs by {type(launcher).__name__}",
                "Have it use K8sRunLauncher, as deploy/kubernetes/values.yaml does, or choose another deployment.",
            )
        return Delegating(
            K8sStepHandler(
                image=cluster.image,
                container_context=container_context(surroundings),
                load_incluster_config=launcher.load_incluster_config,
                kubeconfig_file=launcher.kubeconfig_file,
            )
        )

    return kubernetes


def container_context(surroundings: Surroundings) -> K8sContainerContext:
    """What all steps have, beyond what the run launcher and the code location say."""
    return K8sContainerContext(
        env_vars=[f"{name}={value}" for name, value in surroundings.retold.items()],
        namespace=_cluster(surroundings.deployment).namespace,
    )


def kubernetes_tags(needs: Needs, deployment: Deployment) -> dict[str, Any]:
    """The node, the GPUs and the memory of a step."""
    cluster = _cluster(deployment)
    gpus = _gpus(needs, deployment) if deployment.gpus else 0
    memory, nodes = (cluster.gpu_memory, cluster.gpu_nodes) if gpus else (cluster.cpu_memory, cluster.cpu_nodes)
    # Always said: what a step does not say it takes from the run's own pod, which only watches.
    requests, limits = {"cpu": cluster.gpu_cpus if gpus else cluster.cpu_cpus}, {}
    pod: dict[str, Any] = {"termination_grace_period_seconds": cluster.grace_s}
    container: dict[str, Any] = {}
    if nodes:
        pod["node_selector"] = dict(nodes)
    if memory is not None:
        requests["memory"] = limits["memory"] = memory
    if gpus:
        limits[cluster.gpu_resource] = str(gpus)
        pod["tolerations"] = [{"key": cluster.gpu_resource, "operator": "Exists", "effect": "NoSchedule"}]
    if gpus > 1:  # processes of a training talk through memory that they share, of which a pod has 64 MB
        pod["volumes"] = [{"name": SHARED_MEMORY, "empty_dir": {"medium": "Memory"}}]
        container["volume_mounts"] = [{"name": SHARED_MEMORY, "mount_path": "/dev/shm"}]
    container["resources"] = {"requests": requests, **({"limits": limits} if limits else {})}
    return {USER_DEFINED_K8S_CONFIG_KEY: {"container_config": container, "pod_spec_config": pod}}


def _gpus(needs: Needs, deployment: Deployment) -> int:
    """As the deployment says: a run's own tag comes too late for what is written on a step."""
    return needs.devices({}, gpus=deployment.gpus, training_processes=deployment.training_processes)


def _cluster(deployment: Deployment) -> KubernetesCluster:
    return deployment.kubernetes or KubernetesCluster()
