"""Tensors as items: named tensors as safetensors in the item cache, and batches that leave no trace in an item.

Belongs here: the one conversion between tensors and files, what a damaged file means, and `filled_up`.
"""

from collections.abc import Iterable, Iterator, Mapping

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from director_diffusion.errors import StoreError
from director_diffusion.storage.items import ItemCache
from director_diffusion.storage.store import Store


def read_tensors(store: Store, name: str) -> dict[str, Tensor]:
    """The tensors of a file in the store, on the CPU.  Raises StoreError where it is absent or damaged."""
    try:
        return safetensors.torch.load(store.read(name))
    except SafetensorError as error:
        raise StoreError(
            name, "is damaged", f"Delete it in {store.url} and run again: it will be computed anew."
        ) from error


def read_whole_items(cache: ItemCache, items: Iterable[str]) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Those of `items` that are in the cache and can be read, one after the other; a damaged one counts as absent."""
    wanted = list(dict.fromkeys(items))
    absent = set(cache.missing(wanted))
    for item in wanted:
        if item in absent:
            continue
        try:
            yield item, safetensors.torch.load(cache.read(item))
        except SafetensorError:
            continue


def write_item(cache: ItemCache, item: str, tensors: Mapping[str, Tensor]) -> None:
    """Write one item whole."""
    cache.write(item, safetensors.torch.save({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}))


def joined(sections: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Tensors by section and name as one file of safetensors holds them, on the CPU."""
    return {
        f"{section}/{name}": tensor.detach().cpu().contiguous()
        for section, part in sections.items()
        for name, tensor in part.items()
    }


def taken_apart(flat: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """The inverse of `joined`."""
    sections: dict[str, dict[str, Tensor]] = {}
    for key, tensor in flat.items():
        section, name = key.split("/", 1)
        sections.setdefault(section, {})[name] = tensor
    return sections


def filled_up(rows: Tensor, size: int) -> Tensor:
    """`rows` (n, …), the last one repeated until n is a multiple of `size`.

    Low-order bits of a model's output hang on the shape of its batch, not on the other rows in it.  An item that is
    kept by content must come out the same whatever else was missing when it was made.
    """
    return torch.cat([rows, rows[-1:].expand(-len(rows) % size, *rows.shape[1:])])
