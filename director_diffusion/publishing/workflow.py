"""The workflow: a graph that draws with a live adapter in ComfyUI, as its API and its window load it.

Belongs here: nodes and settings for each family, and which bases ComfyUI cannot load.  Only ComfyUI's own nodes are
used; each is `{"class_type", "inputs", "_meta"}` by its number, and an input `[number, place]` is another's output.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from director_diffusion.specs import Base, SingleFileSource

Node = dict[str, Any]

# What ComfyUI's users call the files of these bases (https://comfyanonymous.github.io/ComfyUI_examples/).
FILES = {
    "black-forest-labs/FLUX.1-dev": "flux1-dev.safetensors",
    "black-forest-labs/FLUX.1-Krea-dev": "flux1-krea-dev.safetensors",
    "black-forest-labs/FLUX.1-schnell": "flux1-schnell.safetensors",
    "stabilityai/stable-diffusion-xl-base-1.0": "sd_xl_base_1.0.safetensors",
    "stable-diffusion-v1-5/stable-diffusion-v1-5": "v1-5-pruned-emaonly.safetensors",
}
CLIP_L, T5, FLUX_VAE = "clip_l.safetensors", "t5xxl_fp16.safetensors", "ae.safetensors"


@dataclass(frozen=True)
class Drawing:
    """One picture to be drawn."""

    prompt: str  # trigger included
    seed: int
    width: int  # pixels
    height: int
    steps: int
    guidance: float
    name: str  # of the saved pictures


def why_not(base: Base) -> str:
    """Why ComfyUI cannot draw with a base, in words; "" where it can."""
    if base.family == "flux_pixel":
        return f"ComfyUI knows no Flux without a VAE, as {base.name} is"
    if base.trained_here is not None:
        return f"ComfyUI knows bases by their published sizes, and {base.name} was trained here at sizes of its own"
    return ""


def workflow(base: Base, drawing: Drawing, *, lora: str) -> dict[str, Node]:
    """The graph, for a base of which `why_not` is ""; `lora` is the adapter's file in ComfyUI's folder `loras`."""
    parts = _flux(base, drawing) if base.family == "flux" else _unet(base, drawing)
    model = _node("LoraLoaderModelOnly", "The adapter", model=parts.model, lora_name=lora, strength_model=1.0)
    sampler = _node(
        "KSampler",
        "As the evaluation drew",
        model=parts.sampled,
        positive=parts.positive,
        negative=["31", 0],
        latent_image=["40", 0],
        seed=drawing.seed,
        steps=drawing.steps,
        cfg=parts.cfg,
        sampler_name="euler",
        scheduler=parts.scheduler,
        denoise=1.0,
    )
    return {
        **parts.nodes,
        "10": model,
        "30": _node("CLIPTextEncode", "Prompt: begin it with the trigger", clip=parts.clip, text=drawing.prompt),
        "31": _node("CLIPTextEncode", "Negative prompt", clip=parts.clip, text=""),
        "40": _node(parts.latent, "Size", width=drawing.width, height=drawing.height, batch_size=1),
        "50": sampler,
        "60": _node("VAEDecode", "Decode", samples=["50", 0], vae=parts.vae),
        "70": _node("SaveImage", "Save", images=["60", 0], filename_prefix=drawing.name),
    }


@dataclass(frozen=True)
class _Parts:
    """What differs between families: nodes of their own, and where the common ones are plugged in."""

    nodes: Mapping[str, Node]
    model: list[Any]  # to which the adapter is added
    sampled: list[Any]  # the model with the adapter
    clip: list[Any]
    vae: list[Any]
    positive: list[Any]
    latent: str  # the class of the empty latent
    cfg: float
    scheduler: str


def _flux(base: Base, drawing: Drawing) -> _Parts:
    file, folder = _file(base), "models/diffusion_models"
    distilled = base.guidance.kind == "embedded"
    nodes = {
        "1": _node("UNETLoader", f"{base.name}: {file} in {folder}", unet_name=file, weight_dtype="default"),
        "2": _node(
            "DualCLIPLoader",
            f"{CLIP_L} and {T5} in models/text_encoders",
            clip_name1=CLIP_L,
            clip_name2=T5,
            type="flux",
        ),
        "3": _node("VAELoader", f"{FLUX_VAE} in models/vae", vae_name=FLUX_VAE),
    }
    if distilled:  # one without embedded guidance shifts no time steps either, which ComfyUI knows
        nodes["20"] = _node(
            "ModelSamplingFlux",
            "Time steps shifted by the picture's size",
            model=["10", 0],
            max_shift=1.15,
            base_shift=0.5,
            width=drawing.width,
            height=drawing.height,
        )
        nodes["32"] = _node("FluxGuidance", "Guidance", conditioning=["30", 0], guidance=drawing.guidance)
    return _Parts(
        nodes,
        model=["1", 0],
        sampled=["20", 0] if distilled else ["10", 0],
        clip=["2", 0],
        vae=["3", 0],
        positive=["32", 0] if distilled else ["30", 0],
        latent="EmptySD3LatentImage",
        cfg=1.0 if distilled else drawing.guidance,
        scheduler="simple",
    )


def _unet(base: Base, drawing: Drawing) -> _Parts:
    file = _file(base)
    nodes = {"1": _node("CheckpointLoaderSimple", f"{base.name}: {file} in models/checkpoints", ckpt_name=file)}
    return _Parts(
        nodes,
        model=["1", 0],
        sampled=["10", 0],
        clip=["1", 1],
        vae=["1", 2],
        positive=["30", 0],
        latent="EmptyLatentImage",
        cfg=drawing.guidance,
        scheduler="normal",
    )


def _file(base: Base) -> str:
    """Of the base in ComfyUI's folders; of one that is not widely known, after its name, for people to put it there."""
    if isinstance(base.source, SingleFileSource):
        return PurePosixPath(base.source.file).name
    return FILES.get(base.model_id, f"{base.model_id.rsplit('/', 1)[-1]}.safetensors")


def _node(class_type: str, title: str, **inputs: Any) -> Node:
    return {"class_type": class_type, "inputs": inputs, "_meta": {"title": title}}
