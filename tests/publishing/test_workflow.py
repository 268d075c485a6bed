"""Workflows: graphs that ComfyUI takes, by its own rules, for every base that it can load."""

from pathlib import Path
from typing import Any

import pytest

from director_diffusion.catalog import load_catalog
from director_diffusion.publishing.workflow import Drawing, why_not, workflow
from director_diffusion.specs import Base, FolderSource, HubSource, SingleFileSource
from pipelines.surroundings import CHECKOUT

BASES = load_catalog(CHECKOUT / "configs").bases
DRAWING = Drawing("nolan style, a house", 11, 1280, 704, 28, 3.5, "nolan-lora")
LORA = "nolan-lora.safetensors"

# Required inputs and outputs of ComfyUI's own nodes (0.3.77: nodes.py, and nodes_model_advanced.py, nodes_flux.py and
# nodes_sd3.py of comfy_extras).  A lower-case type is a widget's value; all others are links.
NODES: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "UNETLoader": ({"unet_name": "str", "weight_dtype": "str"}, ("MODEL",)),
    "DualCLIPLoader": ({"clip_name1": "str", "clip_name2": "str", "type": "str"}, ("CLIP",)),
    "VAELoader": ({"vae_name": "str"}, ("VAE",)),
    "CheckpointLoaderSimple": ({"ckpt_name": "str"}, ("MODEL", "CLIP", "VAE")),
    "LoraLoaderModelOnly": ({"model": "MODEL", "lora_name": "str", "strength_model": "float"}, ("MODEL",)),
    "ModelSamplingFlux": (
        {"model": "MODEL", "max_shift": "float", "base_shift": "float", "width": "int", "height": "int"},
        ("MODEL",),
    ),
    "CLIPTextEncode": ({"clip": "CLIP", "text": "str"}, ("CONDITIONING",)),
    "FluxGuidance": ({"conditioning": "CONDITIONING", "guidance": "float"}, ("CONDITIONING",)),
    "EmptySD3LatentImage": ({"width": "int", "height": "int", "batch_size": "int"}, ("LATENT",)),
    "EmptyLatentImage": ({"width": "int", "height": "int", "batch_size": "int"}, ("LATENT",)),
    "KSampler": (
        {
            "model": "MODEL",
            "positive": "CONDITIONING",
            "negative": "CONDITIONING",
            "latent_image": "LATENT",
            "seed": "int",
            "steps": "int",
            "cfg": "float",
            "sampler_name": "str",
            "scheduler": "str",
            "denoise": "float",
        },
        ("LATENT",),
    ),
    "VAEDecode": ({"samples": "LATENT", "vae": "VAE"}, ("IMAGE",)),
    "SaveImage": ({"images": "IMAGE", "filename_prefix": "str"}, ()),
}
DRAWABLE = sorted(slug for slug, base in BASES.items() if not why_not(base))


def check(graph: dict[str, Any]) -> None:
    """What ComfyUI asks of a graph before it runs it: known nodes, every input there, every link of the right type."""
    for number, node in graph.items():
        inputs, _ = NODES[node["class_type"]]
        assert node["inputs"].keys() == inputs.keys(), number
        for name, wanted in inputs.items():
            value = node["inputs"][name]
            if wanted.isupper():
                other, place = value
                assert NODES[graph[other]["class_type"]][1][place] == wanted, f"{number}: {name}"
            else:
                assert type(value).__name__ == wanted, f"{number}: {name}"
        assert node["_meta"]["title"]
    assert [node["class_type"] for node in graph.values()].count("SaveImage") == 1


def one(graph: dict[str, Any], kind: str) -> dict[str, Any]:
    (found,) = (node["inputs"] for node in graph.values() if node["class_type"] == kind)
    assert isinstance(found, dict)
    return found


def followed(graph: dict[str, Any], number: str) -> set[str]:
    """All nodes that one depends on."""
    links = [value[0] for value in graph[number]["inputs"].values() if isinstance(value, list)]
    return {number}.union(*(followed(graph, link) for link in links))


@pytest.mark.parametrize("slug", DRAWABLE)
def test_comfyui_takes_the_graph_of_every_base_that_it_can_load(slug: str) -> None:
    graph = workflow(BASES[slug], DRAWING, lora=LORA)
    check(graph)
    (end,) = (number for number, node in graph.items() if node["class_type"] == "SaveImage")
    assert followed(graph, end) == graph.keys(), "no node is left over"
    assert one(graph, "LoraLoaderModelOnly")["lora_name"] == LORA
    sampler = one(graph, "KSampler")
    assert (sampler["seed"], sampler["steps"], sampler["denoise"]) == (11, 28, 1.0)
    texts = {graph[sampler[end][0]]["inputs"].get("text") for end in ("negative",)}
    assert texts == {""}
    assert any(node["inputs"].get("text") == DRAWING.prompt for node in graph.values())


def test_the_shipped_bases_that_comfyui_can_load_are_these() -> None:
    assert DRAWABLE == ["flux_dev", "flux_krea_dev", "flux_schnell", "sd15", "sdxl", "sdxl_256"]
    assert "knows no Flux without a VAE" in why_not(BASES["mnist"])
    for slug in ("mini", "mini_sd15", "mini_sdxl"):
        assert "trained here at sizes of its own" in why_not(BASES[slug])


def test_a_distilled_flux_is_given_its_guidance_as_an_input_and_no_other() -> None:
    graph = workflow(BASES["flux_krea_dev"], DRAWING, lora=LORA)
    assert one(graph, "FluxGuidance")["guidance"] == 3.5
    assert one(graph, "KSampler")["cfg"] == 1.0
    shift = one(graph, "ModelSamplingFlux")
    assert (shift["width"], shift["height"]) == (1280, 704)
    assert one(graph, "UNETLoader")["unet_name"] == "flux1-krea-dev.safetensors"


@pytest.mark.parametrize("slug", ["flux_schnell", "sdxl", "sd15"])
def test_others_are_guided_by_two_predictions(slug: str) -> None:
    graph = workflow(BASES[slug], DRAWING, lora=LORA)
    assert one(graph, "KSampler")["cfg"] == 3.5
    assert not {"FluxGuidance", "ModelSamplingFlux"} & {node["class_type"] for node in graph.values()}


def test_a_base_goes_by_its_own_files_name() -> None:
    rest = FolderSource(kind="folder", folder="models/sdxl")

    def named(base: Base) -> str:
        return str(one(workflow(base, DRAWING, lora=LORA), "CheckpointLoaderSimple")["ckpt_name"])

    sdxl = BASES["sdxl"]
    single = SingleFileSource(kind="single_file", file="checkpoints/film.safetensors", rest=rest)
    assert named(sdxl.model_copy(update={"source": single})) == "film.safetensors"
    other = HubSource(kind="hub", repo="someone/finetune", revision="0" * 40)
    assert named(sdxl.model_copy(update={"source": other, "model_id": "someone/finetune"})) == "finetune.safetensors"
    assert Path(named(sdxl)).suffix == ".safetensors"
