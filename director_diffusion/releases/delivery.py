"""Delivery: the files of a live adapter, where ComfyUI reads.

Belongs here: their names, and the order in which they are replaced.

    loras/<director>-<recipe>.safetensors   the adapter, under a name that people's own workflows can keep
    workflows/<director>-<recipe>.json      a graph that draws with it, where ComfyUI can load its base

Each file is replaced whole.  Of the two together a reader must never have a new one beside an old one, for a
workflow's trigger and settings are of its adapter: so a workflow that differs is taken away first, then the adapter is
replaced, and the new workflow comes last.  A delivery that is cut off leaves the old adapter or the new one, with its
own workflow or for a while with none, and the next delivery finishes it.  Mostly the workflow stays as it is, and one
replacement is all.  The adapter's header names its version and the workflow's hash, so the folder says by itself what
it holds.
"""

from dataclasses import dataclass
from pathlib import Path

from director_diffusion.errors import ModelError
from director_diffusion.hashing import hash_bytes
from director_diffusion.releases.header import stored_header
from director_diffusion.storage.store import Store

VERSION, WORKFLOW = "adapter_sha256", "workflow_sha256"  # entries of the delivered header


@dataclass(frozen=True)
class Delivery:
    """What is to lie in the folder."""

    name: str  # of both files, without suffix
    weights: Path  # its header holds `VERSION` and `WORKFLOW`
    workflow: bytes | None  # None: ComfyUI cannot load the base
    lacking: str  # why, in words; ""


def delivery_name(recipe: str, director: str) -> str:
    """File in the store that says how far the releases of one were delivered."""
    return f"{director}-{recipe}"


def weights_name(name: str) -> str:
    """The adapter's, in the folder."""
    return f"loras/{name}.safetensors"


def workflow_name(name: str) -> str:
    """The workflow's, in the folder."""
    return f"workflows/{name}.json"


def workflow_hash(workflow: bytes | None) -> str:
    """What the adapter's header says of its workflow; "" for none."""
    return "" if workflow is None else hash_bytes(workflow)


def deliver(folder: Store, delivery: Delivery) -> None:
    """Bring the folder to hold this, in the order that the module tells."""
    weights, workflow = weights_name(delivery.name), workflow_name(delivery.name)
    there = _content(folder, workflow)
    if there not in (None, delivery.workflow):
        folder.delete(workflow)
    folder.put(delivery.weights, weights)
    if delivery.workflow not in (None, there):
        folder.write(workflow, delivery.workflow)


def delivered_version(folder: Store, name: str) -> str:
    """Which adapter version lies there whole, with its workflow; "" for none, a damaged one or a cut-off delivery."""
    if not folder.exists(weights_name(name)):
        return ""
    try:
        header = stored_header(folder, weights_name(name))
    except ModelError:
        return ""  # the next delivery puts it right
    found = workflow_hash(_content(folder, workflow_name(name)))
    return header.get(VERSION, "") if header.get(WORKFLOW, "") == found else ""


def _content(folder: Store, name: str) -> bytes | None:
    return folder.read(name) if folder.exists(name) else None
