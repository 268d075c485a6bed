"""Loading: embeddings for training, by item."""

from collections.abc import Iterable

from torch import Tensor

from director_diffusion.prompts.rows import PromptRow
from director_diffusion.storage.store import Store
from director_diffusion.tensors import read_tensors


def load_prompts(rows: Iterable[PromptRow], store: Store) -> dict[str, dict[str, Tensor]]:
    """Each item's encoder outputs by name, no batch dimension, on the CPU; each distinct item is read once.

    Raises StoreError, naming the file, for one that is absent or damaged.
    """
    references = {row.item: row.reference for row in rows}
    return {item: read_tensors(store, reference) for item, reference in references.items()}
