"""Segments and a teacher's way: golden against diffusers' pipelines, and against themselves."""

from pathlib import Path
from typing import Any

import pytest
import torch

from director_diffusion.distillation.batches import collated, of_trajectory
from director_diffusion.distillation.segments import as_pair, mean_velocity
from director_diffusion.distillation.teacher import Guide
from director_diffusion.distillation.visits import Start, starts_of
from director_diffusion.families import get_family
from director_diffusion.families.base import LatentScale, Sketch
from director_diffusion.processes import Flow
from director_diffusion.processes.flow import interpolate, velocity_target

STEPS, GUIDANCE, SEEDS = 5, 3.0, (3, 4)


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_a_flow_trained_on_a_pair_is_asked_for_the_segments_velocity_at_its_state() -> None:
    state, velocity, t = randn(3, 8, 4, 6), randn(3, 8, 4, 6, seed=1), torch.tensor([0.1, 0.7, 1.0])
    x0, noise = as_pair(state, velocity, t)
    torch.testing.assert_close(interpolate(x0, noise, t), state, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(velocity_target(x0, noise), velocity, atol=1e-6, rtol=1e-5)


def test_a_batch_says_so_through_the_vaes_own_scale() -> None:
    start = Start("a prompt", {"prompt_embeds": randn(6, 96)}, 0, (4, 6))
    states, sigmas = randn(5, 8, 4, 6), torch.tensor([1.0, 0.8, 0.6, 0.3, 0.0])
    segments = of_trajectory(start, {"states": states, "sigmas": sigmas}, 2)
    scale = LatentScale(0.1, 0.36)
    batch = collated(segments, scale)
    noisy = interpolate(scale.normalise(batch.latents), batch.noise, batch.t)
    torch.testing.assert_close(noisy, states[[0, 2]], atol=1e-5, rtol=1e-5)
    assert batch.t.tolist() == pytest.approx([1.0, 0.6])
    assert batch.conditions["prompt_embeds"].shape == (2, 6, 96)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_one_step_by_the_mean_velocity_ends_where_the_teacher_did(count: int) -> None:
    start = Start("a prompt", {}, 0, (4, 6))
    states, sigmas = randn(5, 8, 4, 6), torch.tensor([1.0, 0.8, 0.6, 0.3, 0.0])
    x = states[0]
    ends = sigmas[:: 4 // count]
    for segment, end in zip(of_trajectory(start, {"states": states, "sigmas": sigmas}, count), ends[1:], strict=True):
        torch.testing.assert_close(segment.state, x, atol=1e-5, rtol=1e-5)
        x = x + (end - segment.sigma) * segment.velocity
    torch.testing.assert_close(x, states[-1], atol=1e-5, rtol=1e-5)


def test_the_mean_velocity_of_a_straight_path_is_its_own() -> None:
    x0, noise = randn(2, 8, 4, 6), randn(2, 8, 4, 6, seed=1)
    a, b = torch.tensor([1.0, 0.5]), torch.tensor([0.25, 0.0])
    found = mean_velocity(interpolate(x0, noise, a), interpolate(x0, noise, b), a, b)
    torch.testing.assert_close(found, velocity_target(x0, noise), atol=1e-5, rtol=1e-5)


def conditions(family: Any, folder: Path, prompts: list[str]) -> dict[str, torch.Tensor]:
    encoder = family.load_prompt_encoder(folder, device="cpu", dtype=torch.float32, max_tokens=32)
    encoded = encoder.encode(prompts)
    return {name: torch.stack([one[name] for one in encoded]) for name in encoded[0]}


@pytest.mark.parametrize("guided", [True, False])
def test_a_teachers_way_is_that_of_diffusers_pipeline(mini_base: Path, guided: bool) -> None:
    family, cells = get_family("flux"), (12, 22)
    denoiser = family.load_denoiser(mini_base, device="cpu", dtype=torch.float32)
    flow, asked = family.process(mini_base), conditions(family, mini_base, ["a red car on sand", "two houses at night"])
    empty = conditions(family, mini_base, ["", ""])
    assert isinstance(flow, Flow)
    guide = Guide(family, GUIDANCE, True, {name: tensor[0] for name, tensor in empty.items()})
    noise = torch.stack([randn(family.latent_channels(denoiser), *cells, seed=seed) for seed in SEEDS])
    states = (guide if guided else guide.student).follow(denoiser, noise, flow.grid(STEPS, cells).tolist(), asked)
    sketch = Sketch(
        asked, empty, SEEDS, width=88, height=48, steps=STEPS, guidance=GUIDANCE if guided else 1.0,
        guidance_kind="classifier_free",
    )  # fmt: skip
    drawn = family.latent_scale(mini_base).normalise(family.sketch(mini_base, denoiser, sketch))
    torch.testing.assert_close(states[-1], drawn, atol=2e-4, rtol=2e-4)
    assert len(states) == STEPS + 1


def test_a_student_of_a_base_with_embedded_guidance_is_told_its_teachers() -> None:
    asked: list[float] = []

    class Told:
        def predict(self, denoiser: Any, x: torch.Tensor, t: Any, conditions: Any, guidance: float) -> torch.Tensor:
            asked.append(guidance)
            return torch.zeros_like(x)

    guide = Guide(Told(), 3.5, False, {})  # type: ignore[arg-type]
    guide.student.follow(torch.nn.Identity(), randn(1, 8, 4, 6), [1.0, 0.0], {})
    assert asked == [3.5]


def test_the_grid_of_fewer_steps_is_part_of_a_finer_one(mini_base: Path) -> None:
    flow = get_family("flux").process(mini_base)
    assert isinstance(flow, Flow)
    fine, coarse = flow.grid(24, (12, 22)), flow.grid(4, (12, 22))
    assert coarse.tolist() == pytest.approx(fine[::6].tolist(), abs=1e-6)
    assert (coarse[0], coarse[-1]) == (1, 0)


def test_sizes_take_turns_and_other_prompts_do_not_matter() -> None:
    sizes, names = [(4, 6), (6, 4), (5, 5)], [f"prompt {number}" for number in range(30)]
    starts = starts_of({name: {} for name in names}, sizes, range(3))
    by_prompt = [starts[first : first + 3] for first in range(0, len(starts), 3)]
    assert all({one.cells for one in some} == set(sizes) for some in by_prompt)
    assert {some[0].cells for some in by_prompt} == set(sizes)
    assert len({one.item for one in starts}) == 90
    fewer = starts_of({name: {} for name in names[1:]}, sizes, range(3))
    assert {one.item for one in fewer} == {one.item for one in starts if one.prompt != names[0]}
