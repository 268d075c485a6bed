"""Memory: which blocks are computed again so that activations fit a budget, and what to do where memory ran out.

Belongs here: measuring what a forward pass keeps for the backward pass, and choosing blocks (Chen et al. 2016, but as
few as it takes).
"""

import math
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import ModelMixin
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint

from director_diffusion.errors import TrainingError
from director_diffusion.specs import Recipe

GIB = 2**30
# In a plain RuntimeError: torch's allocator on a CPU, and a GPU's libraries, which allocate beside torch.
SAID_WITHOUT_MEMORY = ("can't allocate memory", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


@dataclass(frozen=True)
class Activations:
    """Bytes that one forward pass keeps for the backward pass, blocks in the order they are computed."""

    blocks: tuple[int, ...]  # within each block
    inputs: tuple[int, ...]  # of each block: what is kept of it where it is computed again
    outside: int

    def peak(self, recomputed: Collection[int]) -> int:
        """The most that is kept at any time, where the blocks of these numbers are computed again.

        Going back through a block, what was kept of those after it is gone already, and it has its own activations,
        beside its inputs where these were computed again.
        """
        peak, before = 0, self.outside
        for number, (block, inputs) in enumerate(zip(self.blocks, self.inputs, strict=True)):
            again = number in recomputed
            peak = max(peak, before + block + (inputs if again else 0))
            before += inputs if again else block
        return max(peak, before)


def measure_activations(denoiser: ModelMixin, forward: Callable[[], Tensor]) -> Activations:
    """Run `forward` once with gradients, noting sizes: no more is kept at any time than one block's own activations."""
    kept: list[int] = []
    inputs: list[int] = []
    outside = _Sizes(denoiser)

    def note(module: nn.Module, *args: Any) -> Any:
        sizes = _Sizes(denoiser)
        with saved_tensors_hooks(sizes.pack, _unpack):
            result = module(*args)
        kept.append(sizes.total)
        inputs.append(sum(arg.nbytes for arg in args if isinstance(arg, Tensor)))
        return result

    denoiser.enable_gradient_checkpointing(note)
    try:
        denoiser.train()
        with torch.enable_grad(), saved_tensors_hooks(outside.pack, _unpack):
            forward()
    finally:
        denoiser.disable_gradient_checkpointing()
    return Activations(tuple(kept), tuple(inputs), outside.total)


def blocks_to_recompute(found: Activations, budget: int) -> frozenset[int]:
    """The fewest blocks to compute again for activations to fit `budget` bytes; all that help, where none is enough.

    Those that save most go first, of equals the earlier, which are computed again when the later ones' are gone.
    """
    savings = {number: found.blocks[number] - found.inputs[number] for number in range(len(found.blocks))}
    order = sorted((number for number in savings if savings[number] > 0), key=lambda number: -savings[number])
    for count in range(len(order)):
        if found.peak(order[:count]) <= budget:
            return frozenset(order[:count])
    return frozenset(order)


def recompute(denoiser: ModelMixin, blocks: frozenset[int]) -> None:
    """From now on, compute the blocks of these numbers again in the backward pass; others keep their activations."""
    if not blocks:
        return
    number = 0

    def maybe(module: nn.Module, *args: Any) -> Any:
        nonlocal number
        chosen, number = number in blocks, number + 1
        return checkpoint(module, *args, use_reentrant=False) if chosen else module(*args)

    def begin(*_: Any) -> None:
        nonlocal number
        number = 0

    denoiser.enable_gradient_checkpointing(maybe)
    denoiser.register_forward_pre_hook(begin)


@contextmanager
def explain_out_of_memory(recipe: Recipe) -> Iterator[None]:
    """Turn memory's end into the recipe's knobs, in the order to try them."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        said = any(words in str(error) for words in SAID_WITHOUT_MEMORY)
        if not said and not isinstance(error, (torch.OutOfMemoryError, MemoryError)):
            raise
        raise TrainingError(
            f"recipe {recipe.slug}",
            f"does not fit into memory: {str(error).splitlines()[0] if str(error) else 'no memory left'}",
            f"In this order, try {'; '.join(knobs(recipe))}.",
        ) from error


def knobs(recipe: Recipe) -> list[str]:
    """What of a recipe can still be turned down, the cheapest in quality and time first."""
    found = []
    if recipe.batch_size > 1:
        samples = recipe.batch_size * recipe.gradient_accumulation
        found.append(f"batch_size: 1 with gradient_accumulation: {samples} (as many samples a step, a little slower)")
    if recipe.activation_gib is None:
        found.append("activation_gib: 8, which computes some blocks again (slower)")
    elif recipe.activation_gib > 0:
        smaller = math.floor(recipe.activation_gib * 5) / 10
        found.append(f"activation_gib: {smaller:g} or less, down to 0 (slower)")
    if recipe.optimizer.kind != "adamw_8bit":
        found.append("optimizer.kind: adamw_8bit")
    if recipe.precision == "float32":
        found.append("precision: bfloat16")
    if recipe.quantised_base is None:
        found.append("quantised_base: nf4, a quarter of the base's memory")
    found.append("a smaller adapter (rank, or targets: attention)")
    found.append("a base of a smaller resolution.side")
    return found


class _Sizes:
    """Counts each saved storage once, parameters and buffers not at all."""

    def __init__(self, denoiser: nn.Module):
        own = [*denoiser.parameters(), *denoiser.buffers()]
        self._seen = {tensor.untyped_storage().data_ptr() for tensor in own}
        self._keep: list[torch.UntypedStorage] = []
        self.total = 0

    def pack(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._seen:
            self._seen.add(storage.data_ptr())
            self._keep.append(storage)  # or its place would be given to the next
            self.total += storage.nbytes()


def _unpack(_: Any) -> Tensor:
    raise AssertionError("measuring never goes back")
