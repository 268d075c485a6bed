"""The average in the weights' place: what diffusers' own way gives, without a way through the host."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from diffusers.training_utils import EMAModel
from torch import nn
from torch.overrides import TorchFunctionMode

from director_diffusion.training.ema import averaged, moving_average


@contextmanager
def by_diffusers(average: EMAModel, parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    average.store(parameters)
    average.copy_to(parameters)
    yield
    average.restore(parameters)


def trained() -> tuple[list[nn.Parameter], EMAModel]:
    """Weights after three steps, and their average."""
    rng = torch.Generator().manual_seed(0)
    parameters = [nn.Parameter(torch.randn(*shape, generator=rng)) for shape in ((3, 5), (7,))]
    average = moving_average(parameters, 0.9)
    for _ in range(3):
        with torch.no_grad():
            for parameter in parameters:
                parameter.add_(torch.randn(parameter.shape, generator=rng))
        average.step(parameters)
    return parameters, average


class Called(TorchFunctionMode):
    """Which functions of torch are called inside."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(getattr(func, "__name__", str(func)))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("context", [averaged, by_diffusers])
def test_the_weights_are_their_average_inside_and_themselves_afterwards(context: Any) -> None:
    (parameters, average), (expected, _) = trained(), trained()
    shadows = [shadow.clone() for shadow in average.shadow_params]
    with context(average, parameters):
        assert all(torch.equal(one, other) for one, other in zip(parameters, shadows, strict=True))
        assert not torch.equal(parameters[0], expected[0])
    assert all(torch.equal(one, other) for one, other in zip(parameters, expected, strict=True))
    assert all(torch.equal(one, other) for one, other in zip(average.shadow_params, shadows, strict=True))
    assert all(parameter.requires_grad for parameter in parameters)


def test_what_is_done_to_the_weights_inside_leaves_both_alone() -> None:
    parameters, average = trained()
    before = [tensor.detach().clone() for tensor in (*parameters, *average.shadow_params)]

    def broken() -> None:
        with averaged(average, parameters), torch.no_grad():
            parameters[0].zero_()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken()
    after = [*parameters, *average.shadow_params]
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


@pytest.mark.parametrize(("context", "leaves"), [(averaged, False), (by_diffusers, True)])
def test_nothing_leaves_the_device(context: Any, leaves: bool) -> None:
    parameters, average = trained()
    with Called() as called, context(average, parameters):
        pass
    assert bool(called.names & {"cpu", "to", "numpy", "tolist", "item"}) is leaves, called.names
