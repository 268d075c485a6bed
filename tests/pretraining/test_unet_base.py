"""Bases of SDXL's and SD 1.5's classes, trained from scratch: whole pipelines that draw, the same ones for a seed."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, DDPMScheduler
from PIL import Image
from pydantic import ValidationError
from torch import Tensor, nn

from director_diffusion.errors import ModelError, SpecError
from director_diffusion.families import get_family
from director_diffusion.families.base import Conditions
from director_diffusion.families.sdxl import SdxlFamily
from director_diffusion.hashing import hash_folder
from director_diffusion.pretraining.build import Workshop, build_base
from director_diffusion.pretraining.data import Group
from director_diffusion.pretraining.denoiser import DenoiserLesson, build_denoiser
from director_diffusion.pretraining.denoiser_specs import UnetPart
from director_diffusion.pretraining.keys import part_keys, parts_of
from director_diffusion.pretraining.loop import seeded
from director_diffusion.pretraining.unet_parts import unet_student, unshifted
from director_diffusion.pretraining.vae import build_vae
from director_diffusion.progress import Silent
from director_diffusion.specs import Base
from director_diffusion.storage import Store
from tests.pretraining.small_bases import STEPS, VAE, assert_it_learns, run_in, small_base

UNET = {**STEPS, "channels": [16, 32], "head_dim": 16, "text_width": 32, "preview_steps": 2}


def unet_base(kind: str = "sdxl", **changes: Any) -> Base:
    """As the small base, of a UNet."""
    denoiser = changes.pop("denoiser", {})
    spec = small_base().model_dump()
    spec["trained_here"] |= {"denoiser": {**UNET, "kind": kind, **denoiser}, **changes}
    resolution = {"side": 32, "multiple": 8, "aspects": [1.85, 1.0]}
    return Base.model_validate({**spec, "family": kind, "max_prompt_tokens": 77, "resolution": resolution})


@pytest.fixture(scope="module")
def vae(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run, _ = run_in(tmp_path_factory.mktemp("vae"))
    build_vae(small_base(), run)
    return run.out


@pytest.mark.parametrize("kind", ["sdxl", "sd15"])
def test_a_whole_pipeline_that_draws(kind: str, vae: Path, tmp_path: Path) -> None:
    run, shown = run_in(tmp_path, vae=vae)
    build_denoiser(unet_base(kind), run)
    assert shown == [2, 4]
    family = get_family(kind)
    family.check_folder(run.out)
    assert family.process(run.out).at(1.0) == 999
    painter = family.load_painter(
        run.out, device="cpu", dtype=torch.float32, guidance_kind="classifier_free", max_tokens=77
    )
    (image,) = painter.draw(["a red car on sand by day, wide shot"], [0], width=40, height=24, steps=2, guidance=2.0)
    assert image.size == (40, 24)


def test_a_seed_gives_the_same_bytes(vae: Path, tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        build_denoiser(unet_base(seed=seed), run_in(tmp_path / name, vae=vae)[0])
    one, again, other = (hash_folder(tmp_path / name / "out") for name in ("one", "again", "other"))
    assert one == again != other


def test_latents_are_scaled_without_a_shift(vae: Path) -> None:
    """Pipelines of UNets know no shift: the mean square of what a shift and a scale make normal becomes 1."""
    before = AutoencoderKL.from_pretrained(vae).config
    latents = torch.randn(200_000) / before.scaling_factor + before.shift_factor
    after = unshifted(AutoencoderKL.from_pretrained(vae)).config
    assert before.shift_factor
    assert after.shift_factor is None
    assert float((latents * after.scaling_factor).square().mean()) == pytest.approx(1, abs=0.02)


# --- the lesson --------------------------------------------------------------------------------------------------


class Recorded(SdxlFamily):
    """Predicts nothing, and keeps what it was given."""

    def __init__(self) -> None:
        self.noisy, self.t, self.conditions = torch.empty(0), torch.empty(0), dict[str, Tensor]()

    def predict(self, denoiser: nn.Module, noisy: Tensor, t: Tensor, conditions: Conditions, guidance: float) -> Tensor:
        self.noisy, self.t, self.conditions = noisy, t, dict(conditions)
        return torch.zeros_like(noisy)


def test_a_step_is_ddpms_with_sizes_and_some_empty_prompts(vae: Path) -> None:
    part = UnetPart.model_validate({**UNET, "kind": "sdxl", "batch_size": 64, "prompt_dropout": 0.25})
    with seeded("lesson"):
        student = unet_student(part, vae=unshifted(AutoencoderKL.from_pretrained(vae)), device="cpu")
    recorded, latents = Recorded(), torch.zeros(64, 4, 12, 20)
    group = Group(torch.zeros(64, 3, 24, 40, dtype=torch.uint8), tuple((f"car {i}",) for i in range(64)))
    lesson = DenoiserLesson(student, recorded, [group], [latents], part, draw_preview=lambda: None)  # type: ignore[arg-type,return-value]
    with seeded("step"), torch.no_grad():
        loss = lesson.loss(0)
    assert float(loss) == pytest.approx(1, abs=0.03)  # the target is the noise
    alpha_bar = DDPMScheduler.from_config(student.pipeline.scheduler.config).alphas_cumprod[recorded.t.long()]
    deviation = recorded.noisy.flatten(1).std(1)
    torch.testing.assert_close(deviation, (1 - alpha_bar).sqrt(), rtol=0.1, atol=0)
    assert 300 < float(recorded.t.mean()) < 700
    assert torch.equal(recorded.conditions["time_ids"], torch.tensor([24.0, 40, 0, 0, 24, 40]).expand(64, 6))
    empty = ~recorded.conditions["prompt_embeds"].flatten(1).any(1)
    assert 6 <= int(empty.sum()) <= 28
    assert torch.equal(empty, ~recorded.conditions["pooled_prompt_embeds"].any(1))


def test_every_part_learns(vae: Path) -> None:
    """Down to the text encoders, but for what SDXL does not read of its first one: the last layer and its norm."""
    for kind in ("sdxl", "sd15"):
        part = UnetPart.model_validate({**UNET, "kind": kind})
        with seeded("lesson", kind):
            student = unet_student(part, vae=unshifted(AutoencoderKL.from_pretrained(vae)), device="cpu")
        group = Group(torch.zeros(8, 3, 24, 40, dtype=torch.uint8), (("a car",),) * 8)
        lesson = DenoiserLesson(
            student,
            get_family(kind),
            [group],
            [torch.randn(8, 4, 12, 20)],
            part,
            draw_preview=lambda: None,  # type: ignore[arg-type,return-value]
        )
        with seeded("step"):
            lesson.loss(0).backward()
        idle = {
            f"{name}.{parameter}"
            for name, module in lesson.modules.items()
            for parameter, value in module.named_parameters()
            if value.grad is None
        }
        unread = ("text_encoder.", ("encoder.layers.1.", "final_layer_norm."))
        assert all(name.startswith(unread[0]) and any(part in name for part in unread[1]) for name in idle)
        assert bool(idle) == (kind == "sdxl")


@pytest.mark.parametrize("kind", ["sdxl", "sd15"])
def test_its_training_takes_the_loss_down(kind: str, vae: Path, tmp_path: Path) -> None:
    part = UnetPart.model_validate(
        {**UNET, "kind": kind, "steps": 40, "batch_size": 8, "lr": 5e-3, "preview_every": 1000, "ema_decay": 0.9}
    )
    with seeded("lesson", kind):
        student = unet_student(part, vae=unshifted(AutoencoderKL.from_pretrained(vae)), device="cpu")
    group = Group(torch.zeros(8, 3, 8, 16, dtype=torch.uint8), (("a car",),) * 8)
    latents = torch.ones(8, 4, 4, 8)
    picture = Image.new("RGB", (8, 8))
    lesson = DenoiserLesson(student, get_family(kind), [group], [latents], part, draw_preview=lambda: picture)
    assert_it_learns(lesson, part, run_in(tmp_path)[0])


# --- a VAE that is there already ---------------------------------------------------------------------------------


def folder_base(vae: Path, factor: int = 2) -> Base:
    return unet_base(vae={"kind": "folder", "folder": str(vae), "factor": factor})


def test_a_vae_in_a_folder_is_not_trained_and_names_what_stands_on_it(vae: Path, tmp_path: Path) -> None:
    base = folder_base(vae)
    assert parts_of(base) == ["denoiser"]
    keys = part_keys(base, root=tmp_path, cache=tmp_path)
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in vae.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    assert part_keys(folder_base(copy), root=tmp_path, cache=tmp_path) == keys
    config = copy / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "scaling_factor": 2.0}))
    assert part_keys(folder_base(copy), root=tmp_path, cache=tmp_path) != keys
    with pytest.raises(ModelError, match="nowhere"):
        part_keys(folder_base(tmp_path / "nowhere"), root=tmp_path, cache=tmp_path)


def test_the_set_is_whole_with_such_a_vae(vae: Path, tmp_path: Path) -> None:
    shop = Workshop(Store(str(tmp_path / "store")), tmp_path, tmp_path / "cache", None, "cpu", "a test", Silent())
    build_base(folder_base(vae), shop, tmp_path / "set")
    get_family("sdxl").check_folder(tmp_path / "set/base")
    card = (tmp_path / "set/README.md").read_text()
    assert "| denoiser | UNet2DConditionModel with two CLIP text encoders | 4 |" in card
    assert f"| vae | AutoencoderKL, as it lies in `{vae}` |" in card


def test_a_factor_that_is_not_the_vaes_is_refused(vae: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"says that a latent cell of .* is 1 pixels wide, which is 2"):
        build_denoiser(folder_base(vae, factor=1), run_in(tmp_path)[0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"denoiser": {"kind": "sd15"}},
            "family: sdxl is not what `trained_here.denoiser` describes, which is one of sd15",
        ),
        ({"denoiser": {"channels": [16, 40]}}, "must be multiples of head_dim 16 and of 8"),
        ({"denoiser": {"text_width": 48}}, "must be a multiple of 32, the width of CLIP's heads"),
        ({"denoiser": {"channels": [16] * 4}}, "resolution: multiple 8 must be a multiple of 16"),
        ({"vae": None}, "flux_pixel is trained without a `vae`, all others with one"),
        ({"vae": {**VAE, "channels": [16] * 4}}, "resolution: multiple 8 must be a multiple of 16"),
    ],
)
def test_what_does_not_go_together_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        unet_base(**changes)
