"""EMA: the exponential moving average of the adapter's weights, which is what a training hands out.

Belongs here: diffusers' own average over the weights that learn, and using it for a while in their place, which a
consistent student asks for at every step: so nothing leaves the device, as it would by `EMAModel.store`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from diffusers.training_utils import EMAModel
from torch import nn


def moving_average(parameters: Sequence[nn.Parameter], decay: float) -> EMAModel:
    """The n-th update keeps min(`decay`, n / (9 + n)) of the average, the first none: a young one forgets soon."""
    return EMAModel(parameters, decay=decay, foreach=True)


@contextmanager
def averaged(average: EMAModel, parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """The parameters hold their averages inside, and what they held before afterwards."""
    weights = [parameter.detach() for parameter in parameters]
    held = [torch.empty_like(weight) for weight in weights]
    torch._foreach_copy_(held, weights)
    torch._foreach_copy_(weights, average.shadow_params)
    try:
        yield
    finally:
        torch._foreach_copy_(weights, held)
