"""What is delivered of real adapters: alphas, ModelSpec's words, a thumbnail, and a way back."""

import base64
import io
import json
from pathlib import Path

import pytest
from diffusers import FluxTransformer2DModel
from PIL import Image
from safetensors.torch import load_file

from director_diffusion.adapters.files import save_adapter
from director_diffusion.adapters.injection import adapter_weights
from director_diffusion.catalog import load_catalog
from director_diffusion.errors import PublishError
from director_diffusion.hashing import hash_file
from director_diffusion.releases.delivery import VERSION, WORKFLOW, deliver, delivered_version, workflow_hash
from director_diffusion.releases.header import tensors_sha256
from director_diffusion.releases.make import Setting, make_delivery, released_adapter
from director_diffusion.releases.record import Release
from director_diffusion.sampling.images import png_bytes
from director_diffusion.specs import Base
from director_diffusion.storage import Store
from pipelines.surroundings import CHECKOUT
from tests.adapters.adapted import SPECS, adapt, block_linears, header_of
from tests.lineages import DIRECTOR, RECIPE, Lineage, header

CATALOG = load_catalog(CHECKOUT / "configs")
RELEASE = Release("promoted", "1" * 64, "key", "studio/nolan-lora", "c" * 40, "pass", "", "ann", "better", "2026-11-22")


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory, mini_base: Path) -> dict[str, Path]:
    """A trained file of each kind, and DoRA's base."""
    folder = tmp_path_factory.mktemp("adapters")
    made = {}
    for kind in ("alpha", "lokr", "dora"):
        flux = FluxTransformer2DModel.from_pretrained(mini_base / "transformer", local_files_only=True)
        targets = block_linears(flux)
        weights = adapter_weights(adapt(flux, SPECS[kind], targets))
        made[kind] = folder / f"{kind}.safetensors"
        save_adapter(made[kind], weights, SPECS[kind], targets, role="transformer", metadata=header(3))
    return made


def setting(base: Base, **more: object) -> Setting:
    picture = png_bytes(Image.new("RGB", (640, 320), "orange"))
    plan = next(iter(CATALOG.evaluations.values()))
    return Setting("lora", CATALOG.directors["nolan"], base, plan, "studio", picture=picture, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["alpha", "lokr", "dora"])
def test_every_linear_has_its_alpha_and_the_file_says_what_it_is(
    adapters: dict[str, Path], mini_base: Path, tmp_path: Path, kind: str
) -> None:
    flux = FluxTransformer2DModel.from_pretrained(mini_base / "transformer", local_files_only=True)
    base = CATALOG.bases["flux_krea_dev"]
    made = make_delivery(adapters[kind], RELEASE, setting(base, denoiser=flux if kind == "dora" else None), tmp_path)
    tensors, told = load_file(made.weights), header_of(made.weights)
    linears = {name.rsplit(".", 2 if name.endswith(".weight") else 1)[0] for name in tensors}
    assert linears == {f"transformer.{name}" for name in block_linears(flux)}
    for linear in linears:
        assert tensors[f"{linear}.alpha"].shape == ()
    spec = {name.removeprefix("modelspec."): value for name, value in told.items() if name.startswith("modelspec.")}
    thumbnail = spec.pop("thumbnail")
    assert spec == {
        "sai_model_spec": "1.0.1",
        "architecture": "flux-1-dev/lora",
        "implementation": "diffusers",
        "title": "Christopher Nolan (lora)",
        "author": "studio",
        "description": (
            "A style adapter for FLUX.1 Krea [dev], learned from stills of Christopher Nolan. Adapter version "
            f"111111111111; its card: studio/nolan-lora, commit {'c' * 40}."
        ),
        "date": "2026-11-22",
        "license": "flux-1-dev-non-commercial-license",
        "usage_hint": "Begin the prompt with the trigger: nolan style, what the picture shows",
        "trigger_phrase": "nolan style",
        "resolution": spec["resolution"],
        "hash_sha256": f"0x{tensors_sha256(made.weights)}",
    }
    kind_of, _, data = thumbnail.partition(",")
    assert kind_of == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        assert (image.format, image.size) == ("JPEG", (256, 128))
    assert told[VERSION] == hash_file(adapters[kind])
    assert {name: told[name] for name in ("director", "training", "step")} == {
        name: header(3)[name] for name in ("director", "training", "step")
    }


def test_the_workflow_draws_with_the_evaluations_settings(adapters: dict[str, Path], tmp_path: Path) -> None:
    base = CATALOG.bases["flux_krea_dev"]
    made = make_delivery(adapters["alpha"], RELEASE, setting(base), tmp_path)
    assert made.workflow is not None
    graph = json.loads(made.workflow)
    nodes = {node["class_type"]: node["inputs"] for node in graph.values()}
    plan = setting(base).plan
    assert nodes["KSampler"]["steps"] == plan.sampling.steps
    assert nodes["FluxGuidance"]["guidance"] == (plan.sampling.guidance or base.guidance.sample)
    assert nodes["LoraLoaderModelOnly"]["lora_name"] == "nolan-lora.safetensors"
    assert any(node["inputs"].get("text") == f"nolan style, {plan.prompts[0].text}" for node in graph.values())
    assert nodes["EmptySD3LatentImage"]["width"] / nodes["EmptySD3LatentImage"]["height"] == pytest.approx(
        plan.sampling.aspect, rel=0.1
    )
    assert header_of(made.weights)[WORKFLOW] == workflow_hash(made.workflow)
    again = make_delivery(adapters["alpha"], RELEASE, setting(base), tmp_path / "again")
    assert again.weights.read_bytes() == made.weights.read_bytes()
    folder = Store(str(tmp_path / "comfy"))
    deliver(folder, made)
    assert delivered_version(folder, "nolan-lora") == hash_file(adapters["alpha"])
    assert folder.names("workflows") == ["nolan-lora.json"]


def test_of_a_base_that_comfyui_cannot_load_the_weights_go_out_alone(adapters: dict[str, Path], tmp_path: Path) -> None:
    made = make_delivery(adapters["lokr"], RELEASE, setting(CATALOG.bases["mini"]), tmp_path)
    assert made.workflow is None
    assert "trained here at sizes of its own" in made.lacking
    told = header_of(made.weights)
    assert told["modelspec.architecture"] == "mini/lora"
    assert told[WORKFLOW] == ""


@pytest.mark.parametrize(
    ("slug", "architecture"),
    [("flux_schnell", "flux-1-schnell"), ("sdxl", "stable-diffusion-xl-v1-base"), ("sd15", "stable-diffusion-v1")],
)
def test_architectures_go_by_modelspecs_names(slug: str, architecture: str) -> None:
    from director_diffusion.releases.modelspec import Told, modelspec

    told = Told("t", "a", "d", "2026", "l", "u", "x", 64, 64, None, "0" * 64)
    spec = modelspec(told, CATALOG.bases[slug])
    assert spec["modelspec.architecture"] == f"{architecture}/lora"
    assert "modelspec.thumbnail" not in spec


def test_an_adapter_that_the_store_lost_is_told(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    published = Lineage(store).publish(3)
    key = published.adapter.manifest.key
    release = Release("promoted", published.version, key, "r", "c", "pass", "", "ann", "w", "d")
    assert released_adapter(store, RECIPE, DIRECTOR, release).version == published.adapter.version
    store.delete(published.adapter.folder)
    with pytest.raises(PublishError, match="is not in the store any more"):
        released_adapter(store, RECIPE, DIRECTOR, release)
