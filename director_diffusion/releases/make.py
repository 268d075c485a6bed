"""Making what is delivered: from a live version's artifact to the two files.

Belongs here: what the files hold.  Where they go, and in which order, is `delivery`'s.
"""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from director_diffusion.adapters.export import export_adapter
from director_diffusion.captions.prompt import join_prompt
from director_diffusion.errors import PublishError
from director_diffusion.latents.buckets import nearest
from director_diffusion.publishing.sign_offs import SHOWN
from director_diffusion.publishing.workflow import Drawing, why_not, workflow
from director_diffusion.releases.delivery import WORKFLOW, Delivery, delivery_name, workflow_hash
from director_diffusion.releases.header import tensors_sha256, with_metadata
from director_diffusion.releases.modelspec import Told, modelspec
from director_diffusion.releases.record import Release
from director_diffusion.specs import Base, Director, EvaluationPlan
from director_diffusion.storage import Artifact
from director_diffusion.storage.artifact import find_artifact
from director_diffusion.storage.store import Store
from director_diffusion.training.header import read_header
from director_diffusion.training.rows import WEIGHTS, adapter_version

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Setting:
    """What the delivered files are told beside what the adapter says of itself."""

    recipe: str
    director: Director
    base: Base  # that the adapter was trained on
    plan: EvaluationPlan  # whose settings the workflow draws with
    author: str
    denoiser: "nn.Module | None" = None  # the base's, which DoRA needs
    picture: bytes | None = None  # one by the adapter, for its thumbnail


def released_adapter(store: Store, recipe: str, director: str, release: Release) -> Artifact:
    """The artifact that a release's weights come from.  Raises PublishError where the store has it no more."""
    artifact = find_artifact(store, (recipe, "adapter"), director, release.adapter_key)
    if artifact is None or adapter_version(artifact.manifest) != release.adapter_version:
        raise PublishError(
            f"adapter {release.adapter_version[:SHOWN]} of {director} by {recipe}",
            "is not in the store any more",
            "Put its folder back from a copy of the store, or promote another version.",
        )
    return artifact


def make_delivery(adapter: Path, release: Release, setting: Setting, out: Path) -> Delivery:
    """Write the file of ComfyUI into the folder `out`.  Equal arguments give equal bytes.

    Raises ModelError where ComfyUI has no names for the adapter's linears.
    """
    header = read_header(adapter)
    name = delivery_name(setting.recipe, setting.director.slug)
    lacking, drawn_with = why_not(setting.base.drawn_with), setting.base.drawn_with
    drawing = _drawing(setting, header["trigger"], name)
    graph = (
        None
        if lacking
        else (json.dumps(workflow(drawn_with, drawing, lora=f"{name}.safetensors"), indent=2) + "\n").encode()
    )
    out.mkdir(parents=True, exist_ok=True)
    exported, weights = out / f".{WEIGHTS}", out / f"{name}.safetensors"
    export_adapter(adapter, exported, "comfyui", setting.base.family, base=setting.denoiser)
    licence = setting.base.licence
    told = Told(
        title=f"{setting.director.name} ({setting.recipe})",
        author=setting.author,
        description=(
            f"A style adapter for {setting.base.name}, learned from stills of {setting.director.name}. "
            f"Adapter version {release.adapter_version[:SHOWN]}; its card: {release.repo_id}, commit {release.commit}."
        ),
        date=release.date,
        licence=licence.name or licence.id,
        usage_hint=f"Begin the prompt with the trigger: {join_prompt(header['trigger'], 'what the picture shows')}",
        trigger=header["trigger"],
        width=drawing.width,
        height=drawing.height,
        thumbnail=None if setting.picture is None else Image.open(io.BytesIO(setting.picture)),
        tensors_sha256=tensors_sha256(exported),
    )
    with_metadata(exported, weights, {**modelspec(told, setting.base), WORKFLOW: workflow_hash(graph)})
    exported.unlink()
    return Delivery(name, weights, graph, lacking)


def _drawing(setting: Setting, trigger: str, name: str) -> Drawing:
    """The evaluation's first prompt and seed, at its settings."""
    base, plan = setting.base.drawn_with, setting.plan
    bucket, guidance = nearest(base.resolution, plan.sampling.aspect), plan.sampling.guidance
    return Drawing(
        prompt=join_prompt(trigger, plan.prompts[0].text),
        seed=plan.seeds[0],
        width=bucket.width,
        height=bucket.height,
        steps=plan.sampling.steps,
        guidance=base.guidance.sample if guidance is None else guidance,
        name=name,
    )
