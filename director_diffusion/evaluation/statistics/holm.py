"""Holm: p-values of several claims that are read together.

Belongs here: the correction.  Which claims make a family is `verdict`'s to say.
"""

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values, in the order given (Holm 1979).

    Whoever accepts the claims whose adjusted p-value is at most α accepts any false one with a chance of at most α,
    however the claims depend on each other.
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, least = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = least
    return adjusted
