"""Encoders of pictures: timm's, CSD's, and aesthetic heads over vectors."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from open_clip.transformer import QuickGELU, VisionTransformer
from PIL import Image
from safetensors.torch import load_file, save_file
from timm.models import save_for_hf
from torch.nn import functional as F

from director_diffusion.errors import ModelError
from director_diffusion.evaluation.encoders.aesthetic import AestheticScorer
from director_diffusion.evaluation.encoders.image_encoder import TimmEncoder
from director_diffusion.evaluation.encoders.style_projection import CsdEncoder
from director_diffusion.specs import (
    AestheticHead,
    Embedder,
    FolderSource,
    HubSource,
    ImageEncoder,
    StyleProjection,
)

FOLDER = FolderSource(kind="folder", folder="f")
MINI = ImageEncoder(model="test_convnext", source=FOLDER)
STYLE = StyleProjection(source=FOLDER)
MEAN, STD = ((torch.tensor(values)[:, None, None]) for values in (OPENAI_DATASET_MEAN, OPENAI_DATASET_STD))
HEADS = Path(__file__).parents[3] / "shared" / "data" / "aesthetic"


def picture(seed, size=(88, 48)):
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, size=(6, 11, 3), dtype=np.uint8))
    return small.resize(size, Image.Resampling.BICUBIC)


@pytest.fixture(scope="session")
def mini_style_encoder(mini_embedder):
    return mini_embedder.parent / "style_encoder"


# timm


def test_the_style_encoder_of_mini_is_read_as_it_was_trained(mini_style_encoder):
    encoder = TimmEncoder(mini_style_encoder, MINI, device="cpu")
    images = [picture(1), picture(2, size=(200, 100))]
    found = encoder.images(images)
    model = timm.create_model("test_convnext", num_classes=0).eval()
    model.load_state_dict(load_file(mini_style_encoder / "model.safetensors"))
    squashed = [np.asarray(image.resize((88, 48), Image.Resampling.BICUBIC)) for image in images]
    pixels = torch.stack([torch.from_numpy(levels.copy()).permute(2, 0, 1) / 255 for levels in squashed])
    with torch.inference_mode():
        expected = F.normalize(model((pixels - MEAN) / STD), dim=-1).numpy()
    assert found.dtype == np.float32
    assert found == pytest.approx(expected, abs=1e-5)
    assert encoder.images(images[1:])[0] == pytest.approx(found[1], abs=1e-6)


def test_a_vit_of_dinov2s_class_gives_its_class_token_at_its_own_size(tmp_path):
    model = timm.create_model("test_vit", num_classes=5)
    save_for_hf(model, tmp_path, safe_serialization=True)
    encoder = TimmEncoder(tmp_path, ImageEncoder(model="test_vit", source=FOLDER), device="cpu")
    side = model.pretrained_cfg["input_size"][-1]
    image = picture(3, size=(side, side))
    found = encoder.images([image])
    assert found.shape == (1, model.num_features)
    assert np.linalg.norm(found) == pytest.approx(1)


def test_bare_weights_are_read_as_the_architecture_that_the_spec_names(tmp_path, mini_style_encoder):
    shutil.copy(mini_style_encoder / "model.safetensors", tmp_path / "some.safetensors")
    assert TimmEncoder(tmp_path, MINI, device="cpu").images([picture(1)]).shape == (1, 64)
    (tmp_path / "other.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match=r"no config.json, and 2 weights files"):
        TimmEncoder(tmp_path, MINI, device="cpu")
    named = HubSource(kind="hub", repo="a/b", revision="0" * 40, weights="some.safetensors")
    spec = ImageEncoder(model="test_convnext", source=named)
    assert TimmEncoder(tmp_path, spec, device="cpu").images([picture(1)]).shape == (1, 64)


def test_weights_that_are_not_the_architectures_are_refused(tmp_path, mini_style_encoder):
    weights = load_file(mini_style_encoder / "model.safetensors")
    lost = max(weights)
    save_file({name: tensor for name, tensor in weights.items() if name != lost}, tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match="1 are missing") as caught:
        TimmEncoder(tmp_path, MINI, device="cpu")
    assert lost in str(caught.value)
    save_file({**weights, "strange.weight": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match=r"1 are not its own \(such as strange.weight\)"):
        TimmEncoder(tmp_path, MINI, device="cpu")
    (tmp_path / "w.safetensors").write_bytes(b"none")
    with pytest.raises(ModelError, match="cannot be loaded"):
        TimmEncoder(tmp_path, MINI, device="cpu")
    with pytest.raises(ModelError, match="cannot be loaded"):
        TimmEncoder(tmp_path, ImageEncoder(model="no_such_model", source=FOLDER), device="cpu")


def test_another_librarys_configuration_is_no_timm_model(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "dinov2"}')
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="cannot be loaded as the timm model"):
        TimmEncoder(tmp_path, MINI, device="cpu")


# CSD


@pytest.fixture(scope="module")
def tower():
    """A small CLIP tower with projections of both kinds, as the authors' checkpoint names them."""
    torch.manual_seed(0)
    tower = VisionTransformer(32, 8, width=128, layers=2, heads=2, mlp_ratio=4.0, act_layer=QuickGELU, output_dim=24)
    for parameter in tower.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    weights = {f"backbone.{name}": tensor for name, tensor in tower.state_dict().items() if name != "proj"}
    style, content = torch.randn(128, 24), torch.randn(128, 24)
    return tower.eval(), {**weights, "last_layer_style": style, "last_layer_content": content}


@pytest.mark.parametrize("prefix", ["", "module."])
def test_csd_is_the_towers_class_token_times_the_style_projection(tower, tmp_path, prefix):
    model, weights = tower
    save_file({prefix + name: tensor for name, tensor in weights.items()}, tmp_path / "model.safetensors")
    image = picture(1, size=(32, 32))
    found = CsdEncoder(tmp_path, STYLE, device="cpu").images([image])
    pixels = (torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255 - MEAN) / STD
    model.proj = None  # as the authors' code has it
    with torch.inference_mode():
        expected = F.normalize(model(pixels[None]) @ weights["last_layer_style"], dim=1).numpy()
    assert found.shape == (1, 24)
    assert found == pytest.approx(expected, abs=1e-5)


def test_csd_weights_that_are_other_ones_are_refused_by_name(tower, tmp_path):
    _, weights = tower

    def load(without=(), **more):
        kept = {name: tensor for name, tensor in weights.items() if name not in without}
        save_file({**kept, **more}, tmp_path / "model.safetensors")
        return CsdEncoder(tmp_path, STYLE, device="cpu")

    with pytest.raises(ModelError, match="lacks last_layer_style"):
        load(without=["last_layer_style"])
    with pytest.raises(ModelError, match=r"lacks conv1.weight"):
        load(without=["backbone.conv1.weight"])
    with pytest.raises(ModelError, match=r"lacks transformer.resblocks.1.ln_1.bias"):
        load(without=["backbone.transformer.resblocks.1.ln_1.bias"])
    with pytest.raises(ModelError, match=r"has head.weight"):
        load(**{"head.weight": torch.zeros(2)})
    with pytest.raises(ModelError, match=r"does not fit together(.|\n)*ln_pre.bias"):
        load(**{"backbone.ln_pre.bias": torch.zeros(5)})


def test_the_towers_names_are_openais(tower):
    """As clip.model.VisionTransformer names its parameters, which is what the authors' checkpoint holds."""
    block = ["attn.in_proj_weight", "attn.in_proj_bias", "attn.out_proj.weight", "attn.out_proj.bias"]
    block += [f"{part}.{kind}" for part in ("ln_1", "mlp.c_fc", "mlp.c_proj", "ln_2") for kind in ("weight", "bias")]
    names = ["class_embedding", "positional_embedding", "conv1.weight", "ln_pre.weight", "ln_pre.bias"]
    names += [
        "ln_post.weight",
        "ln_post.bias",
        *(f"transformer.resblocks.{n}.{name}" for n in (0, 1) for name in block),
    ]
    _, weights = tower
    assert set(weights) == {f"backbone.{name}" for name in names} | {"last_layer_style", "last_layer_content"}


def test_csd_is_not_read_from_a_pickle(tmp_path):
    torch.save({}, tmp_path / "checkpoint.pth")
    with pytest.raises(ModelError, match="pickles may run code"):
        CsdEncoder(tmp_path, StyleProjection(source=FOLDER, weights="checkpoint.pth"), device="cpu")
    with pytest.raises(ModelError, match="cannot be read"):
        CsdEncoder(tmp_path, STYLE, device="cpu")


# Aesthetic heads


def head(file, model="ViT-L-14"):
    return AestheticHead(embedder=Embedder(model=model, source=FOLDER), source=FOLDER, file=file)


def unit(n, d):
    rows = np.random.default_rng(0).normal(size=(n, d)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_a_linear_head_and_an_mlp_are_told_apart(tmp_path):
    linear = torch.nn.Linear(12, 1)
    torch.save(linear.state_dict(), tmp_path / "linear.pth")
    mlp = torch.nn.Sequential(
        torch.nn.Linear(12, 8), torch.nn.Dropout(), torch.nn.Linear(8, 4), torch.nn.Dropout(), torch.nn.Linear(4, 1)
    ).eval()
    torch.save({f"layers.{name}": tensor for name, tensor in mlp.state_dict().items()}, tmp_path / "mlp.pth")
    rows = unit(5, 12)
    for file, model in (("linear.pth", linear), ("mlp.pth", mlp)):
        with torch.inference_mode():
            expected = model(torch.from_numpy(rows))[:, 0].numpy()
        assert AestheticScorer(tmp_path, head(file)).scores(rows) == pytest.approx(expected, abs=1e-5)


def test_vectors_of_another_width_are_refused(tmp_path):
    torch.save(torch.nn.Linear(12, 1).state_dict(), tmp_path / "linear.pth")
    with pytest.raises(ModelError, match="vectors of 12 numbers, and those of ViT-L-14 have 9"):
        AestheticScorer(tmp_path, head("linear.pth")).scores(unit(2, 9))


@pytest.mark.parametrize(
    ("state", "problem"),
    [
        ({"weight": torch.zeros(1, 3)}, "is no aesthetic head: it holds weight"),
        ({"layers.0.weight": torch.zeros(4, 3), "layers.0.bias": torch.zeros(4)}, "is no aesthetic head"),
        ({"layers.0.weight": torch.zeros(1, 3)}, "is no aesthetic head"),
        ({"step": 3}, "other things than tensors"),
        ([], "other things than tensors"),
        (QuickGELU(), "cannot be read as plain weights"),  # a pickle that would run code
    ],
)
def test_a_file_that_is_no_head_is_refused(tmp_path, state, problem):
    torch.save(state, tmp_path / "head.pth")
    with pytest.raises(ModelError, match=problem):
        AestheticScorer(tmp_path, head("head.pth"))


def test_a_head_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ModelError, match="cannot be read"):
        AestheticScorer(tmp_path, head("head.pth"))


@pytest.mark.parametrize(
    ("file", "width"),
    [
        ("sa_0_4_vit_b_32_linear.pth", 512),
        ("sa_0_4_vit_b_16_linear.pth", 512),
        ("sa_0_4_vit_l_14_linear.pth", 768),
        ("sac+logos+ava1-l14-linearMSE.pth", 768),
    ],
)
def test_laions_heads_rate_on_a_scale_of_1_to_10(file, width):
    if not HEADS.is_dir():
        pytest.skip(f"LAION's heads are not in {HEADS}")
    scorer = AestheticScorer(HEADS, head(file))
    state = torch.load(HEADS / file, map_location="cpu", weights_only=True)
    with torch.inference_mode():
        expected = torch.from_numpy(unit(6, width))
        for name in sorted({key.rpartition(".")[0] for key in state}):
            dot = "." if name else ""
            expected = F.linear(expected, state[f"{name}{dot}weight"].float(), state[f"{name}{dot}bias"].float())
    found = scorer.scores(unit(6, width))
    assert found == pytest.approx(expected[:, 0].numpy(), abs=1e-4)
    assert np.abs(found).max() < 15
