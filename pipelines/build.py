"""`build_definitions`: the whole graph of one project on one deployment.

Belongs here: putting assets, resources, jobs, schedules, sensors and policies together, so that tests can build the
same graph with other resources; and the resources, which commands that run no graph use too.  The studio is
`pipelines.studio`'s.
"""

from collections.abc import Mapping

import dagster as dg

from assets_defs.freshness import freshness_checks
from assets_defs.lineage import directors_partitions, lineage, lineage_checks
from pipelines.alerts import failed_runs_sensor, freshness_sensor
from pipelines.automation import inputs_to_compare, with_automation
from pipelines.changed_inputs import changed_inputs_sensor
from pipelines.executors import build_executor, with_needs
from pipelines.jobs import project_jobs
from pipelines.priorities import BY_ITSELF
from pipelines.schedules import weekly_reevaluations
from pipelines.sensors import dead_runs_sensor, new_votes_sensor
from pipelines.surroundings import Surroundings
from resources.alerts import AlertsResource
from resources.configs import ConfigsResource
from resources.hub import HubResource
from resources.machine import MachineResource, ProgressResource
from resources.models import ModelsResource
from resources.secrets import WEBHOOK_VARIABLE, hide_in_logs
from resources.store import ArtifactIOManager, StoreResource
from resources.votes import VotesResource


def build_definitions(
    surroundings: Surroundings, resource_overrides: Mapping[str, object] | None = None
) -> dg.Definitions:
    """Definitions of `surroundings.project`, run as `surroundings.deployment` says.

    Whoever has them may run them: from here on nothing that this process logs holds a secret.
    """
    hide_in_logs()
    catalog, project = surroundings.catalog, surroundings.project
    partitions = directors_partitions(catalog, project)
    executor = build_executor(surroundings)  # first of all: it says what is not installed
    assets = with_automation(with_needs(lineage(catalog, project), surroundings.deployment))
    days, alerted = surroundings.deployment.evaluated_within_days, surroundings.alerted
    jobs = project_jobs(project, catalog.project_recipes(project), catalog.project_bases_trained_here(project))
    return dg.Definitions(
        assets=assets,
        asset_checks=[
            *lineage_checks(assets, inputs_to_compare),
            *freshness_checks(partitions, catalog.project_recipes(project), days),
        ],
        resources={**build_resources(surroundings), **(resource_overrides or {})},
        jobs=jobs,
        schedules=weekly_reevaluations(project, jobs, partitions),
        sensors=[
            changed_inputs_sensor(project, partitions, surroundings.catalog.folder),
            new_votes_sensor(project, partitions),
            dead_runs_sensor(),
            failed_runs_sensor(on=alerted),
            freshness_sensor(project, partitions, days, on=alerted),
            dg.AutomationConditionSensorDefinition("automation", target=dg.AssetSelection.all(), run_tags=BY_ITSELF),
        ],
        executor=executor,
    )


def build_resources(surroundings: Surroundings) -> dict[str, object]:
    """The outside world of this deployment."""
    store = build_store(surroundings)
    return {
        "store": store,
        "artifacts": ArtifactIOManager(store=store),
        "models": build_models(surroundings),
        "machine": build_machine(surroundings),
        "hub": build_hub(surroundings),
        "configs": ConfigsResource(folder=str(surroundings.catalog.folder)),
        "votes": VotesResource(url=surroundings.votes_url),
        "progress": ProgressResource(),
        # The UI shows the variable's name, not the address.
        "alerts": AlertsResource(url=dg.EnvVar(WEBHOOK_VARIABLE) if surroundings.alerted else None),
    }


def build_machine(surroundings: Surroundings) -> MachineResource:
    """What lends this machine's devices, also to commands that run no graph."""
    deployment = surroundings.deployment
    return MachineResource(
        kind=deployment.device,
        captioning_batch=deployment.captioning_batch,
        gpus=deployment.gpus,
        training_processes=deployment.training_processes,
        leases=str(surroundings.leases),
        gpu_memory_gib=deployment.gpu_memory_gib,
    )


def build_store(surroundings: Surroundings) -> StoreResource:
    """The store, and where what was read of a bucket is kept."""
    return StoreResource(
        url=surroundings.store_url,
        cache=str(surroundings.store_cache),
        cache_bytes=surroundings.store_cache_bytes,
        pictures=surroundings.deployment.pictures,
    )


def build_models(surroundings: Surroundings) -> ModelsResource:
    """Where this deployment's models come from, also for commands that run no graph."""
    return ModelsResource(
        root=str(surroundings.root),
        cache=str(surroundings.model_cache),
        store=build_store(surroundings),
    )


def build_hub(surroundings: Surroundings) -> HubResource:
    """Where this deployment publishes to, also for commands that run no graph."""
    hub = surroundings.deployment.hub
    if hub.kind == "folder":
        return HubResource(url=surroundings.hub_url)
    return HubResource(url=surroundings.hub_url, server=True, private=hub.private)
