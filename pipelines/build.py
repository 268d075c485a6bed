"""`build_definitions`: the whole graph of one project on one deployment.  `build_studio`: its web app's parts.

Belongs here: putting assets, resources, jobs, schedules, sensors and policies together, so that tests can build the
same graph with other resources; and what runs no graph (models, hub, booth, the studio with its desk and judge).
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING

import dagster as dg

from assets_defs.freshness import freshness_checks
from assets_defs.lineage import directors_partitions, lineage, lineage_checks
from director_diffusion.errors import LedgerError
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

if TYPE_CHECKING:
    from director_diffusion.captions.judging import Judge
    from director_diffusion.studio.studio import Studio
    from director_diffusion.voting.booth import Booth

IDLE_S = 300.0  # after which the studio's GPU is others'


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


def build_booth(surroundings: Surroundings) -> "Booth":
    """Where people vote, for whoever shows them a page.  Raises LedgerError where this deployment has no ledger."""
    from director_diffusion.voting.booth import Booth
    from director_diffusion.voting.exhibition import Exhibition
    from director_diffusion.voting.secrets import key_at

    ledger = VotesResource(url=surroundings.votes_url).ledger()
    if ledger is None:
        raise LedgerError(
            f"deployment {surroundings.deployment.slug}",
            "has a store that is no folder, and no ledger of votes",
            "Set `votes: postgresql://<user>@<host>/<database>` in its file.",
        )
    catalog, project = surroundings.catalog, surroundings.project
    directors = [director.slug for director in catalog.project_directors(project)]
    exhibition = Exhibition(surroundings.store(), directors, project.recipes)
    return Booth(ledger, exhibition, key_at(surroundings.votes_key))


def build_studio(surroundings: Surroundings) -> "Studio":
    """What the studio's tabs use."""
    from director_diffusion.studio.desk import OneDesk
    from director_diffusion.studio.studio import Limits, Studio

    catalog, project = surroundings.catalog, surroundings.project
    store, limits = surroundings.store(), Limits()
    directors = {director.slug: director for director in catalog.project_directors(project)}
    recipes = {recipe.slug: recipe for recipe in catalog.project_recipes(project)}
    bases = {base.slug: base for base in catalog.project_bases(project)}
    plan = catalog.evaluations[project.evaluation]
    machine = build_machine(surroundings)

    @contextmanager
    def lend() -> Iterator[str]:
        with machine.lent(holder="director app", told=lambda words: None, wait_s=limits.wait_s) as place:
            yield place.device

    desk = OneDesk(
        store,
        directors,
        recipes,
        bases,
        plan,
        build_models(surroundings).base_folder,
        lend=lend,
        limits=limits,
        idle_s=IDLE_S if surroundings.deployment.gpus else None,
    )
    return Studio(
        store=store,
        directors=directors,
        recipes=recipes,
        plan=plan,
        booth=None if surroundings.votes_url is None else build_booth(surroundings),
        desk=desk,
        judge=_judge(surroundings),
        limits=limits,
    )


def fetch_bases(surroundings: Surroundings, told: Callable[[str], None]) -> None:
    """Have the project's bases on this machine, so that no visitor of the studio waits for a download.

    Raises ModelError for one that cannot be had, TransientError for what is likely to pass.
    """
    models = build_models(surroundings)
    for base in surroundings.catalog.project_bases(surroundings.project):
        for source in dict.fromkeys((base.source, base.drawn_with.source)):
            told(f"Looking for the base {base.slug}; what is not on this machine is fetched")
            models.folder(source)


def _judge(surroundings: Surroundings) -> "Judge":
    """The project's rules for captions; tokenizers are loaded when the first one is judged."""
    from director_diffusion.captions.judging import Judge

    catalog, project = surroundings.catalog, surroundings.project
    bases, models = catalog.project_bases(project), build_models(surroundings)

    @cache
    def counter() -> Callable[[str], int]:
        from director_diffusion.families import longest_count

        return longest_count((base.family, models.base_folder(base)) for base in bases)

    one_at_a_time = Lock()  # tabs share the tokenizers, which would else be loaded twice

    def count(prompt: str) -> int:
        with one_at_a_time:
            return counter()(prompt)

    return Judge(project.captioner, count, min(base.max_prompt_tokens for base in bases))


def build_hub(surroundings: Surroundings) -> HubResource:
    """Where this deployment publishes to, also for commands that run no graph."""
    hub = surroundings.deployment.hub
    if hub.kind == "folder":
        return HubResource(url=surroundings.hub_url)
    return HubResource(url=surroundings.hub_url, server=True, private=hub.private)
