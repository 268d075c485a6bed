"""Adapters of the tiny base, with random weights."""

import json

import pytest
import torch
from safetensors.torch import save_file

RANK = 2


@pytest.fixture(scope="session")
def make_adapter(mini_base, tmp_path_factory):
    """A function that writes an adapter of one attention layer per block, as diffusers saves it."""

    def make(seed=0, scale=1.0, rename=lambda name: name):
        config = json.loads((mini_base / "transformer" / "config.json").read_text())
        width = config["num_attention_heads"] * config["attention_head_dim"]
        rng = torch.Generator().manual_seed(seed)
        weights = {}
        for block in range(config["num_layers"]):
            layer = rename(f"transformer.transformer_blocks.{block}.attn.to_q")
            weights[f"{layer}.lora_A.weight"] = torch.randn(RANK, width, generator=rng)
            weights[f"{layer}.lora_B.weight"] = torch.randn(width, RANK, generator=rng) * scale
        path = tmp_path_factory.mktemp("adapter") / "pytorch_lora_weights.safetensors"
        save_file(weights, path)
        return path

    return make
