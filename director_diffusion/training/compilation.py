"""Compilation: the repeated blocks of a denoiser, compiled for training steps alone.

Belongs here: switching compiled blocks on and off.  Judging and drawing go without: each would be compiled for itself,
for a few predictions.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
from diffusers import ModelMixin

from director_diffusion.specs import Recipe

RECOMPILATIONS = 64  # of one kind of block: a bucket of another shape may ask for one


def compiled_blocks(denoiser: ModelMixin, recipe: Recipe) -> AbstractContextManager[object]:
    """Inside, however often entered, the repeated blocks run compiled where the recipe asks for it.

    One compilation serves all blocks of a kind; shapes that vary make it a dynamic one.
    """
    return _CompiledBlocks(denoiser) if recipe.compiled else nullcontext()


class _CompiledBlocks:
    def __init__(self, denoiser: ModelMixin):
        denoiser.compile_repeated_blocks()
        self._calls = {
            module: module._compiled_call_impl
            for module in denoiser.modules()
            if module._compiled_call_impl is not None
        }
        self._limit = torch._dynamo.config.patch(recompile_limit=RECOMPILATIONS)
        self._switch(on=False)

    def __enter__(self) -> None:
        self._limit.__enter__()
        self._switch(on=True)

    def __exit__(self, *_: object) -> None:
        self._switch(on=False)
        self._limit.__exit__(None, None, None)

    def _switch(self, *, on: bool) -> None:
        for module, call in self._calls.items():
            module._compiled_call_impl = call if on else None
