"""Optimizers at work on a few weights, for tests of their state."""

from collections.abc import Mapping

import safetensors.torch
import torch
from torch import Tensor, nn

from director_diffusion.specs import Optimizer
from director_diffusion.training.optimizers import build_optimizer, restore_state, state_tensors


def weights() -> list[nn.Parameter]:
    rng = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(size, generator=rng)) for size in ((128, 64), (16, 8), (96, 64))]


def learn(parameters: list[nn.Parameter], optimizer: torch.optim.Optimizer, steps: range) -> None:
    """Towards 1, each step from a noisy gradient of its own, and with a learning rate of its own."""
    for step in steps:
        rng = torch.Generator().manual_seed(step)
        for group in optimizer.param_groups:
            group["lr"] *= 0.99
        for parameter in parameters:
            parameter.grad = parameter.detach() - 1 + 0.1 * torch.randn(parameter.shape, generator=rng)
        optimizer.step()
        optimizer.zero_grad()


def written_and_read(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return safetensors.torch.load(safetensors.torch.save(dict(tensors)))


def assert_goes_on(spec: Optimizer) -> None:
    """Taken apart, written and read in the middle, it ends in the bits of one that was not."""
    whole = weights()
    optimizer = build_optimizer(whole, spec)
    learn(whole, optimizer, range(6))
    kept, at_six = written_and_read(state_tensors(optimizer)), [weight.detach().clone() for weight in whole]
    learn(whole, optimizer, range(6, 12))

    resumed = weights()
    with torch.no_grad():
        for weight, value in zip(resumed, at_six, strict=True):
            weight.copy_(value)
    again = build_optimizer(resumed, spec)
    restore_state(again, kept)
    learn(resumed, again, range(6, 12))
    assert all(torch.equal(a, b) for a, b in zip(whole, resumed, strict=True))
    ends = (state_tensors(optimizer), state_tensors(again))
    assert ends[0].keys() == ends[1].keys()
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])

    forgetful = weights()  # the test can fail: without its state, the optimizer goes elsewhere
    with torch.no_grad():
        for weight, value in zip(forgetful, at_six, strict=True):
            weight.copy_(value)
    learn(forgetful, build_optimizer(forgetful, spec), range(6, 12))
    assert not torch.equal(forgetful[0], whole[0])
