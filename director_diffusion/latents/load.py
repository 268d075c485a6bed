"""Loading: posteriors for training, by still."""

from collections.abc import Iterable

from torch import Tensor

from director_diffusion.latents.rows import LatentRow
from director_diffusion.storage.store import Store
from director_diffusion.tensors import read_tensors


def load_posteriors(rows: Iterable[LatentRow], store: Store) -> dict[str, tuple[Tensor, Tensor]]:
    """Each still's posterior (mean, std), both (C, h, w), float32, on the CPU.

    These are the VAE's own latents, neither shifted nor scaled. Raises StoreError, naming the file, for one that is
    absent or damaged.
    """
    return {
        row.still: (tensors["mean"], tensors["std"]) for row in rows for tensors in [read_tensors(store, row.reference)]
    }
