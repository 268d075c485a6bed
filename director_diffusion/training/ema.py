"""EMA: the exponential moving average of the adapter's weights, which is what a training hands out.

Belongs here: diffusers' own average over the weights that learn, and using it for a while in their place.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from diffusers.training_utils import EMAModel
from torch import nn


def moving_average(parameters: Sequence[nn.Parameter], decay: float) -> EMAModel:
    """The n-th update keeps min(`decay`, n / (9 + n)) of the average, the first none: a young one forgets soon."""
    return EMAModel(parameters, decay=decay, foreach=True)


@contextmanager
def averaged(average: EMAModel, parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """The parameters hold their averages inside, and what they held before afterwards."""
    average.store(parameters)
    average.copy_to(parameters)
    try:
        yield
    finally:
        average.restore(parameters)
