"""Executors: what a deployment says of the cluster that its steps are sent to.

Belongs here: what only such a cluster has.  How many GPUs there are, and whether steps use them, the deployment says.
"""

from typing import Annotated, Literal

from pydantic import Field

from director_diffusion.spec_base import Spec, Text

ExecutorName = Literal["in_process", "multiprocess", "ray", "kubernetes"]
CLUSTERS: tuple[ExecutorName, ...] = ("ray", "kubernetes")
"""Executors whose steps run on other machines, which come and go."""
Quantity = Annotated[
    str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|[kMGT]i?)?$", description="As Kubernetes writes it: 32Gi.")
]
Cores = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?m?$")]


class RayCluster(Spec):
    """Steps as jobs of a Ray cluster."""

    address: Annotated[str, Field(pattern=r"^(https?|ray)://[^\s/]+/?$")] = Field(
        "http://127.0.0.1:8265",
        description="Of its job server; Ray's own RAY_API_SERVER_ADDRESS and RAY_ADDRESS override it.",
    )
    cpus: Annotated[float, Field(gt=0, le=1024)] = Field(1, description="That a step takes of its node.")
    memory_gib: Annotated[float, Field(gt=0, le=65536)] | None = Field(
        None, description="That a step which wants a GPU takes of its node; None: Ray does not count it."
    )


class KubernetesCluster(Spec):
    """Steps as Jobs of a Kubernetes cluster.  What is not said here, the run launcher and the code location say."""

    image: Text | None = Field(None, description="Of steps; None: the code location's own.")
    namespace: Text | None = None
    gpu_resource: Text = Field("nvidia.com/gpu", description="What the cluster calls a GPU.")
    gpu_nodes: dict[str, str] = Field({}, description="Labels of the nodes for steps that want a GPU.")
    cpu_nodes: dict[str, str] = Field({}, description="Labels of the nodes for all other steps.")
    gpu_memory: Quantity | None = Field(None, description="Memory that a step which wants a GPU asks for.")
    cpu_memory: Quantity | None = Field(None, description="Memory that any other step asks for.")
    gpu_cpus: Cores = Field("4", description="Cores that a step which wants a GPU asks for.")
    cpu_cpus: Cores = Field("2", description="Cores that any other step asks for.")
    grace_s: Annotated[int, Field(ge=1, le=3600)] = Field(
        120, description="For a step that is told to end: a training saves a checkpoint."
    )
