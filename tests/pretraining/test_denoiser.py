"""The denoiser's lesson: diffusers' own objective, and a folder that is a whole pipeline."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from director_diffusion.families import get_family
from director_diffusion.families.base import Conditions
from director_diffusion.families.flux import FluxFamily
from director_diffusion.hashing import hash_folder
from director_diffusion.pretraining.data import Group
from director_diffusion.pretraining.denoiser import DenoiserLesson, build_denoiser
from director_diffusion.pretraining.flux_parts import flux_student
from director_diffusion.pretraining.loop import seeded
from director_diffusion.pretraining.specs import DenoiserPart
from director_diffusion.pretraining.vae import build_vae
from tests.pretraining.small_bases import DENOISER, run_in, small_base

PART = DenoiserPart.model_validate({**DENOISER, "batch_size": 64, "prompt_dropout": 0.25, "precision": "float32"})


@pytest.fixture(scope="module")
def vae(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run, _ = run_in(tmp_path_factory.mktemp("vae"))
    build_vae(small_base(), run)
    return run.out


def test_a_whole_pipeline_that_draws(vae: Path, tmp_path: Path) -> None:
    run, shown = run_in(tmp_path, vae=vae)
    base = small_base()
    build_denoiser(base, run)
    assert shown == [2, 4]
    get_family("flux").check_folder(run.out)
    painter = get_family("flux").load_painter(
        run.out, device="cpu", dtype=torch.float32, guidance_kind="classifier_free", max_tokens=24
    )
    images = painter.draw(["a red car on sand by day, wide shot"], [0], width=40, height=24, steps=2, guidance=2.0)
    assert images[0].size == (40, 24)


def test_a_seed_gives_the_same_bytes(vae: Path, tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        build_denoiser(small_base(seed=seed), run_in(tmp_path / name, vae=vae)[0])
    one, again, other = (hash_folder(tmp_path / name / "out") for name in ("one", "again", "other"))
    assert one == again != other


class Recorded(FluxFamily):
    """Predicts nothing, and keeps what it was given."""

    def __init__(self) -> None:
        self.noisy, self.t, self.conditions = torch.empty(0), torch.empty(0), dict[str, Tensor]()

    def predict(self, denoiser: nn.Module, noisy: Tensor, t: Tensor, conditions: Conditions, guidance: float) -> Tensor:
        self.noisy, self.t, self.conditions = noisy, t, dict(conditions)
        return torch.zeros_like(noisy)


def lesson(family: Recorded) -> tuple[DenoiserLesson, Any, Tensor]:
    with seeded("lesson"):
        student = flux_student(PART, channels=4, vae=None, device="cpu")
        latents = torch.randn(64, 4, 6, 10)
    prompts = tuple((f"{word} car", f"{word} house") for word in ("red", "blue") for _ in range(32))
    group = Group(torch.zeros(64, 3, 24, 40, dtype=torch.uint8), prompts)
    made = DenoiserLesson(student, family, [group], [latents], PART, draw_preview=lambda: None)  # type: ignore[arg-type,return-value]
    return made, student.pipeline, latents


def test_the_loss_is_that_of_rectified_flow() -> None:
    recorded = Recorded()
    made, _, latents = lesson(recorded)
    with seeded("step"), torch.no_grad():
        loss = made.loss(0)
    # x_t = (1 - t) x0 + t noise; the order of the batch is the lesson's own, so each row finds its latent.
    t = recorded.t.view(-1, 1, 1, 1)
    noise = (recorded.noisy[:, None] - (1 - t)[:, None] * latents[None]) / t[:, None]
    spread = (noise.flatten(2).std(2) - 1).abs()  # only with its own latent is what remains standard normal noise
    own = spread.argmin(1)
    target = torch.stack([noise[row, own[row]] for row in range(64)]) - latents[own]
    sharp = (recorded.t < 0.6).nonzero().flatten()  # at high noise other latents fit nearly as well
    assert len(sharp) > 20
    assert sorted(own[sharp].tolist()) == sorted(set(own[sharp].tolist()))
    assert 0.5 < float(loss / target[sharp].square().mean()) < 2


def test_prompts_vary_and_some_are_empty() -> None:
    recorded = Recorded()
    made, pipeline, _ = lesson(recorded)
    with seeded("step"), torch.no_grad():
        made.loss(0)
        pooled = {}
        for text in ("", "red car", "red house", "blue car", "blue house"):
            ids = pipeline.tokenizer(text, padding="max_length", max_length=77, return_tensors="pt").input_ids
            pooled[text] = pipeline.text_encoder(ids).pooler_output[0]
    rows = recorded.conditions["pooled_prompt_embeds"]
    counts = {text: sum(torch.allclose(row, vector, atol=1e-5) for row in rows) for text, vector in pooled.items()}
    assert sum(counts.values()) == 64
    assert 6 <= counts[""] <= 28
    assert all(counts.values())
