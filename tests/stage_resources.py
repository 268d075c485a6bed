"""What a stage's body asks for, over a folder, with no GPU: for tests that materialize toy stages."""

from pathlib import Path
from typing import Any

from resources.configs import ConfigsResource
from resources.hub import HubResource
from resources.machine import MachineResource, ProgressResource
from resources.models import ModelsResource
from resources.store import ArtifactIOManager, StoreResource
from resources.votes import VotesResource


def stage_resources(folder: Path, **instead: Any) -> dict[str, Any]:
    """All resources by name, the store in `folder/store`, but those that are given `instead`."""
    store = instead.pop("store", None) or StoreResource(url=str(folder / "store"))
    return {
        "store": store,
        "artifacts": ArtifactIOManager(store=store),
        "models": ModelsResource(root=str(folder), cache=str(folder / "models"), store=store),
        "machine": MachineResource(kind="cpu", captioning_batch=1),
        "hub": HubResource(url=str(folder / "hub")),
        "configs": ConfigsResource(folder=str(folder)),
        "votes": VotesResource(url=None),
        "progress": ProgressResource(),
        **instead,
    }
