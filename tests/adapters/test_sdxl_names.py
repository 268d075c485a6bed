"""SDXL's linears as sd-scripts names them: literal names of the real model's."""

import pytest
import torch

from director_diffusion.adapters.files import AdapterFile
from director_diffusion.adapters.layouts import in_layout
from director_diffusion.errors import ModelError
from director_diffusion.families import get_family
from tests.families.unets import real_unet


def test_sd_scripts_finds_every_linear_of_sdxl() -> None:
    """It trains Stability AI's own UNet: 2 transformer blocks in each of its outer attentions, 10 in the inner."""
    targets = get_family("sdxl").target_modules(real_unet("sdxl"), "all_block_linears")
    weights = {f"{name}.lora_{side}.weight": torch.zeros(1, 1) for name in targets for side in "AB"}
    tensors = in_layout(AdapterFile("unet", weights, {}, {}), "kohya", "sdxl")
    assert len(tensors) == 3 * len(targets)
    for name in (
        "input_blocks_4_1_transformer_blocks_0_attn1_to_q",
        "input_blocks_8_1_proj_in",
        "middle_block_1_transformer_blocks_9_attn2_to_out_0",
        "output_blocks_0_1_transformer_blocks_9_ff_net_0_proj",
        "output_blocks_5_1_transformer_blocks_1_ff_net_2",
    ):
        assert {f"lora_unet_{name}.{kind}" for kind in ("lora_down.weight", "lora_up.weight", "alpha")} <= set(tensors)
    outer = {f"{block}_1" for block in ("input_blocks_4", "input_blocks_5", *(f"output_blocks_{i}" for i in (3, 4, 5)))}
    inner = {f"{block}_1" for block in ("input_blocks_7", "input_blocks_8", "middle_block")}
    inner |= {f"output_blocks_{i}_1" for i in range(3)}
    found = {key.removeprefix("lora_unet_").split("_attn")[0] for key in tensors if "_attn" in key}
    assert found == {
        f"{block}_transformer_blocks_{i}"
        for blocks, depth in ((outer, 2), (inner, 10))
        for block in blocks
        for i in range(depth)
    }


@pytest.mark.parametrize("differing", ["up_blocks.0.attentions.2", "up_blocks.2.attentions.0"])
def test_sd_scripts_knows_no_other_unet_than_sdxls(differing: str) -> None:
    """One attention too few, as in the mini base's two to a level, or one too many."""
    targets = {*get_family("sdxl").target_modules(real_unet("sdxl"), "attention")}
    fewer = {name for name in targets if not name.startswith(differing)}
    targets = fewer if fewer != targets else {*targets, f"{differing}.proj_in"}
    weights = {f"{name}.lora_{side}.weight": torch.zeros(1, 1) for name in targets for side in "AB"}
    file = AdapterFile("unet", weights, {}, {})
    assert len(in_layout(file, "comfyui", "sdxl")) == 3 * len(targets)
    with pytest.raises(ModelError, match=f"is not of SDXL's own UNet.*differ in {differing}"):
        in_layout(file, "kohya", "sdxl")
