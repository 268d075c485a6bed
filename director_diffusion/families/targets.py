"""Targets: which linears of a denoiser carry an adapter.

Belongs here: matching a preset's patterns to a model's layers.  Which patterns a family has for a preset, it says.
"""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from torch import nn

from director_diffusion.errors import ModelError


def matching_linears(denoiser: nn.Module, presets: Mapping[str, Sequence[str]], preset: str) -> list[str]:
    """Full names of the linears that a preset adapts, in the model's order.

    `presets` gives shell patterns over full names.  Raises ModelError where the family has no such preset, or where a
    pattern matches none.
    """
    if preset not in presets:
        raise ModelError(
            f"targets {preset!r}",
            f"cannot be adapted: a {type(denoiser).__name__} has none",
            f"Choose one of {', '.join(presets)} in the recipe.",
        )
    linears = [name for name, module in denoiser.named_modules() if is_linear(module)]
    for pattern in presets[preset]:
        if not any(fnmatchcase(name, pattern) for name in linears):
            raise ModelError(
                f"targets {preset!r}",
                f"cannot be adapted: no linear of this {type(denoiser).__name__} is called {pattern!r}",
                "Choose other targets in the recipe, or a base of another family.",
            )
    return [name for name in linears if any(fnmatchcase(name, pattern) for pattern in presets[preset])]


def is_linear(module: nn.Module) -> bool:
    """Whether an adapter can sit on a module: also on a linear in 4 bits, which is a subclass."""
    return isinstance(module, nn.Linear)
