"""Bases in one file: what comes out of the conversion is what went in, and what does not go together is refused."""

import errno
import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, FluxTransformer2DModel, ModelMixin, UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_flux_transformer_checkpoint_to_diffusers
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from director_diffusion.errors import ModelError
from director_diffusion.families import get_family
from director_diffusion.models import conversion
from director_diffusion.models.doctor import Finding, examine, examine_model
from director_diffusion.models.flux_layout import flux_to_diffusers
from director_diffusion.models.source import fingerprint, resolve, resolve_base
from director_diffusion.specs import Base, FolderSource, Guidance, Licence, Resolution, SingleFileSource
from director_diffusion.storage import Store
from tests.models.original_layouts import (
    Tensors,
    all_in_one,
    clip_original,
    flux_original,
    prefixed,
    tiny_unet_base,
    vae_original,
)

COMFY = "model.diffusion_model."


@pytest.fixture(scope="module")
def flux(mini_base: Path) -> Tensors:
    """The shipped transformer in its authors' layout."""
    return flux_original(FluxTransformer2DModel.from_pretrained(mini_base / "transformer", dtype=torch.float16))


@pytest.fixture(scope="module")
def unet_bases(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """Tiny bases of Stable Diffusion 1.5 (False) and XL (True)."""
    folder = tmp_path_factory.mktemp("unet_bases")
    return {xl: tiny_unet_base(folder / str(xl), xl=xl) for xl in (False, True)}


@pytest.fixture
def project(tmp_path: Path, mini_base: Path) -> Path:
    """A root with the shipped base as `rest`."""
    shutil.copytree(mini_base, tmp_path / "rest")
    return tmp_path


def source(rest: str | Path = "rest", file: str = "base.safetensors") -> SingleFileSource:
    return SingleFileSource(kind="single_file", file=file, rest=FolderSource(kind="folder", folder=str(rest)))


def found(root: Path, one: SingleFileSource | None = None) -> Path:
    return resolve(one or source(), root=root, cache=root / "cache", store=Store(str(root / "store")), token=None)


def named(root: Path, one: SingleFileSource | None = None) -> str:
    return fingerprint(one or source(), root=root, cache=root / "cache", store=Store(str(root / "store")))


def weights(folder: Path) -> Tensors:
    return {name: tensor for file in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(file).items()}


def assert_equal(one: Tensors, other: Tensors) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert tensor.dtype == other[name].dtype, name
        assert torch.equal(tensor, other[name]), name


# --- what comes out ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", [COMFY, "diffusion_model.", ""])
def test_a_flux_comes_out_as_it_went_in(flux: Tensors, project: Path, mini_base: Path, prefix: str) -> None:
    save_file(prefixed(prefix, flux), project / "base.safetensors")
    shutil.rmtree(project / "rest/transformer")
    (project / "rest/transformer").mkdir()
    shutil.copy(mini_base / "transformer/config.json", project / "rest/transformer")  # its weights are not needed
    folder = found(project)
    assert_equal(weights(folder / "transformer"), weights(mini_base / "transformer"))
    inputs = {
        "hidden_states": torch.randn(1, 6, 32),
        "encoder_hidden_states": torch.randn(1, 5, 96),
        "pooled_projections": torch.randn(1, 64),
        "timestep": torch.tensor([0.3]),
        "img_ids": torch.zeros(6, 3),
        "txt_ids": torch.zeros(5, 3),
    }
    one, other = (FluxTransformer2DModel.from_pretrained(base / "transformer") for base in (folder, mini_base))
    with torch.no_grad():
        assert torch.equal(one(**inputs).sample, other(**inputs).sample)
    assert {path.name: path.is_symlink() for path in folder.iterdir()} == {
        path.name: path.name != "transformer" for path in mini_base.iterdir()
    }
    get_family("flux").check_folder(folder)


def test_flux_names_are_diffusers_at_the_published_width() -> None:
    """diffusers' own table is for a width of 3072; a column of each matrix will do."""
    width, rng = 3072, torch.Generator().manual_seed(0)
    rows: dict[str, int] = {"img_in": width, "txt_in": width, "final_layer.linear": 64}
    rows["final_layer.adaLN_modulation.1"] = 2 * width
    for name in ("time_in", "vector_in", "guidance_in"):
        rows |= {f"{name}.in_layer": width, f"{name}.out_layer": width}
    for block in ("double_blocks.0", "double_blocks.1"):
        for stream in ("img", "txt"):
            rows |= {f"{block}.{stream}_mod.lin": 6 * width, f"{block}.{stream}_attn.qkv": 3 * width}
            rows |= {f"{block}.{stream}_attn.proj": width, f"{block}.{stream}_mlp.0": 4 * width}
            rows |= {f"{block}.{stream}_mlp.2": width}
    for block in ("single_blocks.0", "single_blocks.1"):
        rows |= {f"{block}.linear1": 7 * width, f"{block}.linear2": width, f"{block}.modulation.lin": 3 * width}
    tensors = {
        f"{name}.{kind}": torch.randn(count, *([1] if kind == "weight" else []), generator=rng)
        for name, count in rows.items()
        for kind in ("weight", "bias")
    }
    norms = [f"double_blocks.{i}.{stream}_attn.norm" for i in range(2) for stream in ("img", "txt")]
    for norm in (*norms, "single_blocks.0.norm", "single_blocks.1.norm"):
        tensors |= {f"{norm}.{kind}_norm.scale": torch.randn(128, generator=rng) for kind in ("query", "key")}
    assert_equal(flux_to_diffusers(tensors), convert_flux_transformer_checkpoint_to_diffusers(dict(tensors)))


@pytest.mark.parametrize("xl", [False, True], ids=["sd15", "sdxl"])
def test_a_file_with_everything_is_taken_whole(unet_bases: dict[bool, Path], tmp_path: Path, xl: bool) -> None:
    base = unet_bases[xl]
    save_file(all_in_one(base, xl=xl), tmp_path / "base.safetensors")
    rest = tiny_unet_base(tmp_path / "rest", xl=xl, seed=1)  # of the same shape, with other weights
    folder = found(tmp_path)
    kinds: dict[str, type[ModelMixin]] = {"unet": UNet2DConditionModel, "vae": AutoencoderKL}
    for name, kind in kinds.items():
        assert_equal(weights(folder / name), weights(base / name))
        assert_equal(*(kind.from_pretrained(one / name).state_dict() for one in (folder, base)))
        assert json.loads((folder / name / "config.json").read_text())["_class_name"] == kind.__name__
    encoders = {"text_encoder": CLIPTextModel} | ({"text_encoder_2": CLIPTextModelWithProjection} if xl else {})
    tokens = torch.arange(10)[None]
    for name, encoder in encoders.items():
        one, other, lent = (encoder.from_pretrained(of / name)(tokens)[0] for of in (folder, base, rest))
        assert torch.equal(one, other)
        assert not torch.equal(one, lent)
        assert weights(folder / name).keys() == weights(base / name).keys()
    unets = [UNet2DConditionModel.from_pretrained(of / "unet") for of in (folder, base)]
    added = {"text_embeds": torch.randn(1, 32), "time_ids": torch.ones(1, 6)} if xl else None
    latents, prompt = torch.randn(1, 4, 8, 8), torch.randn(1, 7, 64 if xl else 32)
    with torch.no_grad():
        first, second = (unet(latents, 5, prompt, added_cond_kwargs=added).sample for unet in unets)
    assert torch.equal(first, second)
    assert {path.name for path in folder.iterdir() if path.is_symlink()} == {
        "model_index.json", "scheduler", "tokenizer"
    }  # fmt: skip


def test_what_a_file_lacks_is_lent(unet_bases: dict[bool, Path], tmp_path: Path) -> None:
    lone = {name: one for name, one in all_in_one(unet_bases[True], xl=True).items() if name.startswith(COMFY)}
    save_file({name.removeprefix(COMFY): one for name, one in lone.items()}, tmp_path / "base.safetensors")
    folder = found(tmp_path, source(unet_bases[True]))
    assert not (folder / "unet").is_symlink()
    assert {path.name for path in folder.iterdir() if path.is_symlink()} == {
        "model_index.json", "scheduler", "tokenizer", "vae", "text_encoder", "text_encoder_2"
    }  # fmt: skip


def test_comfys_flux_with_everything_is_taken_whole(flux: Tensors, project: Path, mini_base: Path) -> None:
    half = torch.float16
    clip = clip_original(CLIPTextModel.from_pretrained(mini_base / "text_encoder", dtype=half))
    whole = {
        **prefixed(COMFY, flux),
        **prefixed("vae.", vae_original(AutoencoderKL.from_pretrained(mini_base / "vae", dtype=half))),
        **prefixed("text_encoders.clip_l.transformer.", {**clip, "text_projection.weight": torch.eye(64)}),
        **prefixed("text_encoders.t5xxl.transformer.", weights(mini_base / "text_encoder_2")),
    }
    save_file(whole, project / "base.safetensors")
    for name in ("transformer", "vae", "text_encoder", "text_encoder_2"):
        next((project / "rest" / name).glob("*.safetensors")).unlink()
    folder = found(project)
    get_family("flux").check_folder(folder)
    for name in ("transformer", "vae", "text_encoder", "text_encoder_2"):
        assert_equal(weights(folder / name), weights(mini_base / name))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float8_e4m3fn])
def test_values_keep_their_dtype_and_any_loads(flux: Tensors, project: Path, dtype: torch.dtype) -> None:
    save_file({name: tensor.to(dtype) for name, tensor in flux.items()}, project / "base.safetensors")
    folder = found(project)
    assert {tensor.dtype for tensor in weights(folder / "transformer").values()} == {dtype}
    loaded = get_family("flux").load_denoiser(folder, device="cpu", dtype=torch.bfloat16)
    expected = flux["img_in.weight"].to(dtype).to(torch.bfloat16)
    assert torch.equal(loaded.get_parameter("x_embedder.weight"), expected)


def test_names_of_diffusers_stay(project: Path, mini_base: Path) -> None:
    shutil.copy(mini_base / "transformer/diffusion_pytorch_model.safetensors", project / "base.safetensors")
    assert_equal(weights(found(project) / "transformer"), weights(mini_base / "transformer"))


def test_much_is_written_in_shards(
    flux: Tensors, project: Path, mini_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_file(flux, project / "base.safetensors")
    monkeypatch.setattr(conversion, "SHARD", 10**6)
    folder = found(project)
    assert len(list((folder / "transformer").glob("*-of-00007.safetensors"))) == 7
    get_family("flux").check_folder(folder)
    one, other = (FluxTransformer2DModel.from_pretrained(base / "transformer") for base in (folder, mini_base))
    assert_equal(one.state_dict(), other.state_dict())


# --- once, and named by what it is -------------------------------------------------------------------------------


def test_it_is_named_by_the_contents_of_both(flux: Tensors, project: Path) -> None:
    save_file(flux, project / "base.safetensors")
    first = named(project)
    shutil.copy(project / "base.safetensors", project / "renamed.safetensors")
    assert named(project, source(file="renamed.safetensors")) == first
    (project / "rest/scheduler/scheduler_config.json").write_text("{}")
    second = named(project)
    save_file({**flux, "img_in.bias": flux["img_in.bias"] + 1}, project / "base.safetensors")
    assert len({first, second, named(project)}) == 3


def test_it_is_converted_once(flux: Tensors, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_file(flux, project / "base.safetensors")
    times: list[str] = []
    convert = conversion.write_components
    monkeypatch.setattr(conversion, "write_components", lambda *a, **k: (times.append("once"), convert(*a, **k)))
    folder = found(project)
    assert found(project) == folder
    shutil.copytree(project / "rest", project / "moved")
    shutil.rmtree(project / "rest")
    assert not (folder / "vae").exists()
    assert found(project, source("moved")) == folder
    assert (folder / "vae").resolve() == project / "moved/vae"
    get_family("flux").check_folder(folder)
    assert times == ["once"]


def test_a_conversion_that_dies_is_begun_anew(flux: Tensors, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_file(flux, project / "base.safetensors")

    def dies(*args: object, **keywords: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(conversion, "save_file", dies)
        with pytest.raises(KeyboardInterrupt):
            found(project)
    assert not [path for path in (project / "cache/single-files").iterdir() if path.name[0] != "." and path.is_dir()]
    get_family("flux").check_folder(found(project))


def test_a_full_disk_is_named(flux: Tensors, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_file(flux, project / "base.safetensors")

    def full(*args: object, **keywords: object) -> None:
        raise SafetensorError(f"Error while serializing: I/O error: No space left on device (os error {errno.ENOSPC})")

    monkeypatch.setattr(conversion, "save_file", full)
    with pytest.raises(ModelError, match=r"has no space left for a model.*model_cache"):
        found(project)


# --- what is refused ---------------------------------------------------------------------------------------------

FLUX_LORA = {"transformer.single_transformer_blocks.0.attn.to_q.lora_A.weight": torch.zeros(2, 4)}
KOHYA_LORA = {"lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight": torch.zeros(2, 4)}


def without(name: str) -> Callable[[Tensors], Tensors]:
    return lambda flux: {key: tensor for key, tensor in flux.items() if key != name}


@pytest.mark.parametrize(
    ("made", "problem"),
    [
        (lambda flux: FLUX_LORA, r"is an adapter \(LoRA, LoKr or the like\), not a checkpoint"),
        (lambda flux: KOHYA_LORA, r"is an adapter"),
        (lambda flux: {"first_stage_model.encoder.conv_in.weight": torch.zeros(1)}, "holds vae but no denoiser"),
        (lambda flux: {"joint_blocks.0.x": torch.zeros(1)}, r"holds no Flux, .* \(its tensors: joint_blocks.0.x …\)"),
        (without("single_blocks.3.linear2.bias"), r"lacks single_transformer_blocks.3.proj_out.bias"),
        (without("img_in.weight"), r"it has no img_in.weight"),
        (
            lambda flux: {**flux, "guidance_in.in_layer.weight": torch.zeros(160, 256)},
            r"it also has time_text_embed.guidance_embedder.linear_1.weight",
        ),
        (
            lambda flux: {**flux, "txt_in.weight": torch.zeros(160, 97)},
            r"context_embedder.weight is of shape \(160, 97\) in it and of \(160, 96\) there",
        ),
        (
            lambda flux: {**flux, "img_in.scale_weight": torch.ones(1)},
            r"holds quantised weights whose scales stand apart \(img_in.scale_weight\)",
        ),
    ],
)
def test_other_tensors_are_refused(
    flux: Tensors, project: Path, made: Callable[[Tensors], dict[str, Tensor]], problem: str
) -> None:
    save_file(made(flux), project / "base.safetensors")
    with pytest.raises(ModelError, match=rf"base\.safetensors: .*{problem}") as refusal:
        found(project)
    assert refusal.value.way_out
    assert not list((project / "cache").rglob("*.safetensors")), "before anything is written"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"PK\x03\x04 and so on", r"is a pickled checkpoint \(\.ckpt or \.pt\), not a safetensors file"),
        (b"GGUF\x03\x00\x00\x00 more", "is a GGUF file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "is a pointer that git left"),
        (b"", "is damaged or was cut off"),
        (struct.pack("<Q", 10) + b"{}", "is damaged or was cut off"),
    ],
)
def test_other_files_are_refused(project: Path, content: bytes, problem: str) -> None:
    (project / "base.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match=rf"base\.safetensors: {problem}"):
        found(project)


def test_a_file_cut_off_or_absent_is_refused(flux: Tensors, project: Path) -> None:
    path = project / "base.safetensors"
    for act in (named, found):
        with pytest.raises(ModelError, match=rf"base\.safetensors: is not a file \(looked for {path}\).*Put the check"):
            act(project)
    save_file(flux, path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError, match=r"base\.safetensors: is damaged or was cut off: .*Download or copy it again"):
        found(project)


def test_another_architecture_is_refused(flux: Tensors, unet_bases: dict[bool, Path], project: Path) -> None:
    save_file(all_in_one(unet_bases[True], xl=True), project / "base.safetensors")
    with pytest.raises(
        ModelError, match=r"base\.safetensors: holds a Stable Diffusion XL unet, but rest is a FluxPipeline\. Give a S"
    ):
        found(project)
    with pytest.raises(ModelError, match=r"holds a Stable Diffusion XL checkpoint whose unet is none of .*'s shape"):
        found(project, source(unet_bases[False]))
    save_file(all_in_one(unet_bases[False], xl=False), project / "base.safetensors")
    with pytest.raises(ModelError, match=r"unet is none of .*'s shape: it has no label_emb\.0\.0\.weight"):
        found(project, source(unet_bases[True]))
    save_file(flux, project / "base.safetensors")
    with pytest.raises(ModelError, match=r"holds a Flux transformer, but .* is a StableDiffusionPipeline"):
        found(project, source(unet_bases[False]))


def test_a_file_that_says_v_prediction_wants_such_a_scheduler(unet_bases: dict[bool, Path], tmp_path: Path) -> None:
    shutil.copytree(unet_bases[True], tmp_path / "rest")
    save_file({**all_in_one(unet_bases[True], xl=True), "v_pred": torch.ones(1)}, tmp_path / "base.safetensors")
    with pytest.raises(
        ModelError, match=r'says `v_pred`, but the scheduler of rest is not set to prediction_type: "v_'
    ):
        found(tmp_path)
    (tmp_path / "rest/scheduler/scheduler_config.json").write_text('{"prediction_type": "v_prediction"}')
    assert (found(tmp_path) / "unet/config.json").is_file()


def test_a_base_of_another_family_names_the_file(unet_bases: dict[bool, Path], tmp_path: Path) -> None:
    save_file(all_in_one(unet_bases[True], xl=True), tmp_path / "base.safetensors")
    base = Base(
        slug="one",
        name="one",
        family="flux",
        source=source(unet_bases[True]),
        model_id="one",
        licence=Licence(id="apache-2.0"),
        guidance=Guidance(kind="embedded"),
        resolution=Resolution(side=64, multiple=8),
    )
    with pytest.raises(ModelError, match=r"base\.safetensors with the rest of .*: holds a StableDiffusionXLPipeline"):
        resolve_base(base, root=tmp_path, cache=tmp_path / "cache", store=Store(str(tmp_path)), token=None)


# --- the doctor --------------------------------------------------------------------------------------------------


def examined(root: Path, one: SingleFileSource | None = None) -> Finding:
    store = Store(str(root / "store"))
    return examine_model("base", one or source(), root=root, cache=root / "cache", store=store)


def test_the_doctor_tells_of_file_and_rest(flux: Tensors, project: Path) -> None:
    assert (examined(project).state, "is not a file" in examined(project).detail) == ("missing", True)
    save_file(flux, project / "base.safetensors")
    held = "base.safetensors holds the transformer of a Flux, 0.0 GiB"
    assert examined(project) == Finding("base", "ok", f"{held}; it fits rest, and the first run converts it")
    assert not (project / "cache/single-files").exists(), "the doctor builds nothing"
    found(project)
    assert examined(project) == Finding("base", "ok", f"{held}; converted")
    gone = source("nowhere")
    assert (examined(project, gone).state, "nowhere" in examined(project, gone).detail) == ("missing", True)
    save_file({**flux, "img_in.weight": torch.zeros(161, 32)}, project / "base.safetensors")
    assert (examined(project).state, "none of rest's shape" in examined(project).detail) == ("missing", True)


def test_the_doctor_tells_of_a_rest_to_be_downloaded(flux: Tensors, tmp_path: Path) -> None:
    save_file(flux, tmp_path / "base.safetensors")

    def of_the_hub(revision: str | None) -> SingleFileSource:
        rest = {"kind": "hub", "repo": "owner/name", "revision": revision}
        return SingleFileSource.model_validate({"kind": "single_file", "file": "base.safetensors", "rest": rest})

    loose, pinned = examined(tmp_path, of_the_hub(None)), examined(tmp_path, of_the_hub("a" * 40))
    assert (loose.state, "director pin" in loose.mend) == ("missing", True)
    assert (pinned.state, "owner/name, its rest, is not downloaded yet" in pinned.detail) == ("warning", True)
    findings = examine(
        {"base": of_the_hub("a" * 40)},
        families={"flux"},
        trained_here=[],
        device="cpu",
        store=Store(str(tmp_path / "store")),
        cache=tmp_path / "cache",
        root=tmp_path,
        token=None,
    )
    (token,) = (finding for finding in findings if finding.name == "HF_TOKEN")
    assert "base" in token.detail
