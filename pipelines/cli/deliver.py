"""Delivering what is live to where the deployment says.

Belongs here: where that is, one deliverer at a time, and the note in Dagster.  The files are
`director_diffusion.releases`'s.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import dagster as dg

from director_diffusion.errors import PublishError
from director_diffusion.publishing.sign_offs import SHOWN
from director_diffusion.releases.delivery import delivered_version, delivery_name, weights_name, workflow_name
from director_diffusion.releases.record import Release, live, read_delivered, read_releases, write_delivered
from director_diffusion.storage.ancestry import Ancestry
from director_diffusion.storage.artifact import Artifact
from director_diffusion.storage.lock import writer_lock
from director_diffusion.storage.store import Store
from director_diffusion.tracing.following import came_of_adapter
from director_diffusion.training.header import read_header
from director_diffusion.training.rows import WEIGHTS
from pipelines.cli.trained_base import base_of, denoiser_for
from pipelines.home import prepare_home
from pipelines.surroundings import Surroundings

WAIT_S = 60.0  # for another delivery, which writes an adapter's file
PICTURE = "repo/images/sample-00.png"


def delivery_folder(surroundings: Surroundings) -> Store | None:
    """Where live adapters go; None where the deployment delivers none."""
    url = surroundings.deliver_to
    return None if url is None else Store(url)


def live_is_delivered(surroundings: Surroundings, store: Store, recipe: str, director: str) -> bool:
    """Whether the folder holds what is live, whole; true where nothing is to be delivered."""
    folder, now = delivery_folder(surroundings), live(read_releases(store, recipe, director))
    if folder is None or now is None:
        return True
    return delivered_version(folder, delivery_name(recipe, director)) == now.adapter_version


def delivery_is_finished(surroundings: Surroundings, store: Store, recipe: str, director: str) -> bool:
    """Whether what is live was delivered once.  Of records from before that was noted, its files have the word."""
    marked = read_delivered(store, recipe, director)
    if marked is None:
        return live_is_delivered(surroundings, store, recipe, director)
    return marked == len(read_releases(store, recipe, director))


def deliver_live(surroundings: Surroundings, store: Store, recipe: str, director: str, *, new: bool) -> None:
    """Deliver what the record says is live when it is this delivery's turn, so that the last of several agrees with it.

    `new` tells Dagster's event log of a release.
    """
    folder = delivery_folder(surroundings)
    with writer_lock(store, f"delivery of {director} by {recipe}", "another delivery", wait_s=WAIT_S):
        entries = read_releases(store, recipe, director)
        if folder is None:
            print("Nothing is delivered: the deployment has no `deliver_to`.")
        else:
            _deliver(surroundings, store, folder, recipe, director, _live(entries, recipe, director))
        write_delivered(store, recipe, director, len(entries))
    if new:
        _note(surroundings, recipe, director, _live(entries, recipe, director))


def _live(entries: Sequence[Release], recipe: str, director: str) -> Release:
    now = live(entries)
    if now is None:
        raise PublishError(f"{director} by {recipe}", "has no live version", f"director promote {director}")
    return now


def _deliver(
    surroundings: Surroundings, store: Store, folder: Store, recipe: str, director: str, release: Release
) -> None:
    from director_diffusion.releases.delivery import deliver
    from director_diffusion.releases.make import Setting, make_delivery, released_adapter

    artifact = released_adapter(store, recipe, director, release)
    weights = artifact.path(WEIGHTS)
    header = read_header(weights)
    base, catalog, project = base_of(surroundings, header), surroundings.catalog, surroundings.project
    person = catalog.directors[director]
    setting = Setting(
        recipe=recipe,
        director=person,
        base=base,
        plan=catalog.evaluations[project.evaluation].asked_of(person),
        author=project.hub_namespace,
        denoiser=denoiser_for(surroundings, base, header),
        picture=_picture(store, artifact),
    )
    with tempfile.TemporaryDirectory(prefix="director-delivery-") as out:
        delivery = make_delivery(weights, release, setting, Path(out))
        deliver(folder, delivery)
    print(f"Delivered: {folder.full(weights_name(delivery.name))}")
    if delivery.workflow is None:
        print(f"No workflow goes with it: {delivery.lacking}.")
    else:
        print(f"Workflow: {folder.full(workflow_name(delivery.name))}")


def _picture(store: Store, adapter: Artifact) -> bytes | None:
    """One by this adapter, of a card made with it."""
    cards = [found for found in came_of_adapter(Ancestry(store), adapter) if found.manifest.asset[-1] == "model_card"]
    shown = [card for card in cards if any(file.name == PICTURE for file in card.manifest.files)]
    return shown[-1].read(PICTURE) if shown else None


def _note(surroundings: Surroundings, recipe: str, director: str, release: Release) -> None:
    """Let the UI show the release among the publication's events."""
    observation = dg.AssetObservation(
        dg.AssetKey([recipe, "published_model"]),
        partition=director,
        description=f"{release.act} by {release.who}: {release.why}",
        metadata={
            "live adapter": release.adapter_version[:SHOWN],
            "commit": release.commit,
            "verdict": release.verdict,
            "signed off by": release.signed_off_by or "–",
        },
    )
    with prepare_home(surroundings) as instance:
        instance.report_runless_asset_event(observation)
