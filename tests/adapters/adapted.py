"""Denoisers with adapters whose every weight is random, and tiny UNets of real classes."""

from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import torch
from diffusers import FluxTransformer2DModel, StableDiffusionPipeline, StableDiffusionXLPipeline, UNet2DConditionModel
from safetensors import safe_open
from torch import Tensor, nn

from director_diffusion.adapters.files import read_adapter, save_adapter, scaled_weights
from director_diffusion.adapters.injection import adapter_parameters, adapter_weights, inject_adapter, linears
from director_diffusion.adapters.merging import base_weights, delta
from director_diffusion.families import get_family
from director_diffusion.specs import Adapter, LokrAdapter, LoraAdapter
from tests.conftest import MINI

LORA = LoraAdapter(kind="lora", rank=4, alpha=4)
SPECS: dict[str, Adapter] = {
    "lora": LORA,
    "alpha": LoraAdapter(kind="lora", rank=4, alpha=10.5),
    "rank_stabilised": LoraAdapter(kind="lora", rank=4, alpha=6, rank_stabilised=True),
    "dora": LoraAdapter(kind="lora", rank=4, alpha=6, dora=True),
    "lokr": LokrAdapter(kind="lokr", factor=(4, 16)),
}

KINDS = {name: SPECS[name] for name in ("lora", "dora", "lokr")}


def adapt(denoiser: nn.Module, spec: Adapter, targets: list[str] | None = None, seed: int = 5) -> nn.Module:
    """The denoiser, with an adapter that has learned something."""
    torch.manual_seed(seed)
    inject_adapter(denoiser, spec, targets if targets is not None else block_linears(denoiser))
    with torch.no_grad():
        for name, parameter in adapter_parameters(denoiser).items():
            if "magnitude" in name:
                parameter.mul_(torch.rand_like(parameter) + 0.5)
            else:
                nn.init.normal_(parameter, std=0.1)
    return denoiser


def random_adapter(
    path: Path, spec: Adapter, seed: int, *, family_name: str = "flux", base: Path = MINI / "base"
) -> Path:
    """A file of an adapter of a base, the mini one unless told, on the layers that the spec names."""
    family = get_family(family_name)
    denoiser = family.load_denoiser(base, device="cpu", dtype=torch.float32)
    targets = family.target_modules(denoiser, spec.targets)
    weights = adapter_weights(adapt(denoiser, spec, targets, seed))
    save_adapter(path, weights, spec, targets, role=family.role, metadata={"trigger": "nolan style"})
    return path


def block_linears(denoiser: nn.Module) -> list[str]:
    return [name for name, _ in linears(denoiser) if "transformer_blocks." in name and ".norm" not in name]


def attention_linears(denoiser: nn.Module) -> list[str]:
    return [name for name, _ in linears(denoiser) if ".attn1." in name or ".attn2." in name]


def flux_inputs(transformer: FluxTransformer2DModel) -> dict[str, Tensor]:
    """Random inputs of 6 image and 3 text tokens."""
    config = transformer.config
    generator = torch.Generator().manual_seed(1)
    return {
        "hidden_states": torch.randn(1, 6, config.in_channels, generator=generator),
        "encoder_hidden_states": torch.randn(1, 3, config.joint_attention_dim, generator=generator),
        "pooled_projections": torch.randn(1, config.pooled_projection_dim, generator=generator),
        "timestep": torch.tensor([0.4]),
        "img_ids": torch.arange(18.0).reshape(6, 3) % 5,
        "txt_ids": torch.zeros(3, 3),
    }


@torch.no_grad()
def predict(denoiser: nn.Module) -> Tensor:
    """What a denoiser says to fixed inputs."""
    if isinstance(denoiser, FluxTransformer2DModel):
        return denoiser(**flux_inputs(denoiser), return_dict=False)[0]
    generator = torch.Generator().manual_seed(1)
    conditions: dict[str, Any] = {}
    if denoiser.config.addition_embed_type is not None:
        conditions["added_cond_kwargs"] = {
            "text_embeds": torch.randn(1, 8, generator=generator),
            "time_ids": torch.tensor([[64.0, 64, 0, 0, 64, 64]]),
        }
    sample = torch.randn(1, 4, 16, 16, generator=generator)
    prompt = torch.randn(1, 5, denoiser.config.cross_attention_dim, generator=generator)
    return denoiser(sample, 300, encoder_hidden_states=prompt, return_dict=False, **conditions)[0]


def tiny_unet(family: str) -> UNet2DConditionModel:
    """A UNet of the family's kinds of blocks, in SDXL's own order; the same weights every time."""
    return deepcopy(_made_unet(family))


@cache
def _made_unet(family: str) -> UNet2DConditionModel:
    torch.manual_seed(0)
    shared: dict[str, Any] = {"norm_num_groups": 8, "cross_attention_dim": 24}
    if family == "sd15":
        unet = UNet2DConditionModel(
            block_out_channels=(16, 32),
            layers_per_block=1,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            attention_head_dim=2,
            **shared,
        )
    else:
        unet = UNet2DConditionModel(
            block_out_channels=(16, 32, 32),
            layers_per_block=2,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            transformer_layers_per_block=(1, 1, 2),
            attention_head_dim=(2, 4, 4),
            addition_embed_type="text_time",
            addition_time_embed_dim=4,
            projection_class_embeddings_input_dim=8 + 6 * 4,
            use_linear_projection=True,
            **shared,
        )
    return unet.eval().requires_grad_(False)


def unet_pipeline(family: str) -> StableDiffusionPipeline | StableDiffusionXLPipeline:
    """A pipeline around `tiny_unet`, with nothing else in it: for loading adapters."""
    parts = dict.fromkeys(["vae", "text_encoder", "tokenizer", "scheduler"])
    if family == "sd15":
        return StableDiffusionPipeline(
            **parts,
            unet=tiny_unet(family),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    return StableDiffusionXLPipeline(**parts, unet=tiny_unet(family), text_encoder_2=None, tokenizer_2=None)


def save(denoiser: nn.Module, spec: Adapter, path: Path, role: str = "transformer", strength: float = 1.0) -> Path:
    """The file of an adapted denoiser."""
    weights = scaled_weights(adapter_weights(denoiser), strength)
    targets = sorted({name.split(".lo")[0] for name in weights})
    save_adapter(path, weights, spec, targets, role=role, metadata={"director": "nolan", "base": "mini"})
    return path


@torch.no_grad()
def deltas(path: Path, base: nn.Module | None = None) -> dict[str, Tensor]:
    """ΔW (out, in), float32, of each linear that a file adapts; DoRA's depends on the base."""
    file = read_adapter(path)
    weights = base_weights(base) if base is not None else {}
    return {module: delta(file, module, weights.get(module)) for module in file.modules}


def header_of(path: Path) -> dict[str, str]:
    """A safetensors file's metadata."""
    with safe_open(path, framework="pt") as file:
        return file.metadata()
