"""Others' few-step weights on top of an adapter: as diffusers stacks them, in any layout that it reads."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline, LCMScheduler
from safetensors.torch import save_file

from director_diffusion.errors import ModelError
from director_diffusion.families import get_family
from director_diffusion.specs import Adapter, LokrAdapter, LoraAdapter
from tests.adapters.adapted import random_adapter

SIZE = {"width": 24, "height": 16}
LINEAR, CONVOLUTION = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q", "mid_block.resnets.0.conv1"
BELOW = LoraAdapter(kind="lora", rank=2, alpha=4, targets="attention")


def stock_lora(path: Path, layout: str, width: int = 32) -> Path:
    """A LoRA of a linear and a convolution, as LCM-LoRA is, with an alpha of its own."""

    def randn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=torch.Generator().manual_seed(shape[0]))

    factors = {
        LINEAR: (randn(2, width), randn(32, 2)),
        CONVOLUTION: (randn(2, 32, 3, 3), randn(32, 2, 1, 1)),
    }
    weights = {}
    for module, (down, up) in factors.items():
        if layout == "kohya":
            name = f"lora_unet_{module.replace('.', '_')}"
            weights |= {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up}
            weights[f"{name}.alpha"] = torch.tensor(3.0)
        else:
            weights |= {f"unet.{module}.lora_A.weight": down, f"unet.{module}.lora_B.weight": up}
    path.parent.mkdir(exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, path)
    return path


def painter_of(name: str, folder: Path) -> Any:
    settings: dict[str, Any] = {"device": "cpu", "dtype": torch.float32, "guidance_kind": "classifier_free"}
    return get_family(name).load_painter(folder, **settings, max_tokens=77)


def drawn(painter: Any) -> bytes:
    (image,) = painter.draw(["a red house"], [3], steps=2, guidance=1.0, scheduler="lcm", **SIZE)
    return bytes(image.tobytes())


@pytest.mark.parametrize("layout", ["kohya", "diffusers"])
def test_a_picture_is_that_of_the_pipeline_that_wears_both(
    unet_base: tuple[str, Path], tmp_path: Path, layout: str
) -> None:
    name, folder = unet_base
    below = random_adapter(tmp_path / "style/below.safetensors", BELOW, 0, family_name=name, base=folder)
    stock = stock_lora(tmp_path / "lcm.safetensors", layout)
    painter = painter_of(name, folder)
    bare = drawn(painter)
    painter.attach(below, stock=stock)
    both = drawn(painter)
    pipeline: Any = DiffusionPipeline.from_pretrained(folder, local_files_only=True)
    pipeline.scheduler = LCMScheduler.from_config(pipeline.scheduler.config, timestep_spacing="trailing")
    pipeline.load_lora_weights(below.parent, weight_name=below.name, adapter_name="style")
    pipeline.load_lora_weights(tmp_path, weight_name=stock.name, adapter_name="lcm")
    pipeline.set_adapters(["style", "lcm"])
    theirs = pipeline(
        "a red house", **SIZE, num_inference_steps=2, guidance_scale=0.0,
        generator=torch.Generator("cpu").manual_seed(3),
    ).images[0]  # fmt: skip
    assert both == theirs.tobytes()
    painter.attach(below)
    assert drawn(painter) not in (bare, both)
    painter.detach()
    assert drawn(painter) == bare


def test_it_lies_on_a_lokr_too(unet_base: tuple[str, Path], tmp_path: Path) -> None:
    name, folder = unet_base
    lokr: Adapter = LokrAdapter(kind="lokr", factor=(4, 4), targets="attention")
    below = random_adapter(tmp_path / "style/below.safetensors", lokr, 0, family_name=name, base=folder)
    stock, painter = stock_lora(tmp_path / "lcm.safetensors", "kohya"), painter_of(name, folder)
    pictures = []
    for worn in ({}, {"stock": stock}):
        for adapters in ((), (below,)):
            painter.attach(*adapters, **worn)
            pictures.append(drawn(painter))
    assert len(set(pictures)) == 4
    painter.detach()
    assert drawn(painter) == pictures[0]


def test_what_does_not_fit_is_refused_and_leaves_the_base_alone(unet_base: tuple[str, Path], tmp_path: Path) -> None:
    painter = painter_of(*unet_base)
    bare = drawn(painter)
    with pytest.raises(ModelError, match="does not fit this base"):
        painter.attach(stock=stock_lora(tmp_path / "wide.safetensors", "diffusers", width=48))
    save_file({"text_encoder.x.lora_A.weight": torch.zeros(2, 2)}, tmp_path / "text.safetensors")
    with pytest.raises(ModelError, match="no LoRA of the denoiser alone"):
        painter.attach(stock=tmp_path / "text.safetensors")
    nowhere = {f"unet.nowhere.lora_{factor}.weight": torch.zeros(2, 2) for factor in "AB"}
    save_file(nowhere, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match="does not fit this base"):
        painter.attach(stock=tmp_path / "other.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"no weights")
    with pytest.raises(ModelError, match="cannot be read as a LoRA"):
        painter.attach(stock=tmp_path / "broken.safetensors")
    painter.detach()
    assert drawn(painter) == bare
