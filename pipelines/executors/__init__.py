"""Executors: where steps run, as the deployment alone says.

Belongs here: choosing the executor, and telling each step what its stage needs in that executor's own words.  A library
of a cluster is imported only where a deployment names it: `on_ray` and `on_kubernetes` are those modules.
"""

from collections.abc import Mapping, Sequence
from copy import copy
from importlib.util import find_spec
from typing import Any

import dagster as dg
from dagster._utils.tags import normalize_tags

from director_diffusion.errors import SpecError
from director_diffusion.specs import Deployment
from pipelines.surroundings import Surroundings
from resources.needs import Needs, needs_of

_EXTRAS = {"ray": ("dagster_ray", "ray"), "kubernetes": ("dagster_k8s", "k8s")}


def build_executor(surroundings: Surroundings) -> dg.ExecutorDefinition:
    """What runs the steps of runs that Dagster launches.  Raises SpecError where its library is not installed."""
    deployment = surroundings.deployment
    if deployment.executor == "in_process":
        return dg.in_process_executor
    if deployment.executor == "multiprocess":
        return dg.multiprocess_executor
    look_for_library(deployment)
    if deployment.executor == "ray":
        from pipelines.executors.on_ray import ray_executor

        return ray_executor(surroundings)
    from pipelines.executors.on_kubernetes import kubernetes_executor

    return kubernetes_executor(surroundings)


def with_needs(assets: Sequence[dg.AssetsDefinition], deployment: Deployment) -> list[dg.AssetsDefinition]:
    """The same, with what each needs in the words of its executor.  On one machine, the pool says it all."""
    if deployment.executor in ("in_process", "multiprocess"):
        return list(assets)
    return [_tagged(asset, step_tags(needs_of(asset.op.tags), deployment)) for asset in assets]


def step_tags(needs: Needs, deployment: Deployment) -> dict[str, Any]:
    """What a cluster's executor reads on a step."""
    if deployment.executor == "ray":
        from pipelines.executors.on_ray import ray_tags

        return ray_tags(needs, deployment)
    from pipelines.executors.on_kubernetes import kubernetes_tags

    return kubernetes_tags(needs, deployment)


def _tagged(asset: dg.AssetsDefinition, tags: Mapping[str, Any]) -> dg.AssetsDefinition:
    op = copy(asset.op)
    op._tags = normalize_tags({**op.tags, **tags})  # Dagster has no word for it, and its version is pinned
    return dg.AssetsDefinition.dagster_internal_init(**{**asset.get_attributes_dict(), "node_def": op})


def look_for_library(deployment: Deployment) -> None:
    """Raises SpecError where what the deployment's executor needs is not installed."""
    if deployment.executor not in _EXTRAS:
        return
    module, extra = _EXTRAS[deployment.executor]
    if find_spec(module) is None:
        raise SpecError(
            f"deployment {deployment.slug}, key executor",
            f"is {deployment.executor}, for which {module} is not installed",
            f"Install director-diffusion with [{extra}] (docs/own_repository.md), or choose another deployment.",
        )
