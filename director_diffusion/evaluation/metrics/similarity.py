"""Similarity: cosines of pictures to words and to other pictures.

Belongs here: metrics with one value for each picture, over vectors of length 1 of any encoder.
"""

import numpy as np
from numpy.typing import NDArray

DECIMALS = 6
"""float32 cosines carry no more; rounding here keeps the last bits, which depend on batch sizes, out of the results."""

Rows = NDArray[np.float32] | NDArray[np.float64]  # (n, d), each of length 1


def prompt_fidelity(images: Rows, prompts: Rows) -> NDArray[np.float64]:
    """CLIP-T (Hessel et al. 2021): cosine of each image (n, d) and the words it was drawn for (n, d), without trigger
    and style phrase.  Returns (n,), in [-1, 1].
    """
    cosines: NDArray[np.float64] = np.einsum("nd,nd->n", images, prompts, dtype=np.float64)
    return cosines.round(DECIMALS)


def closeness(images: Rows, references: Rows) -> NDArray[np.float64]:
    """Mean cosine of each image (n, d) to every reference (m, d): CLIP-I and DINO-I of Ruiz et al. 2023, and the
    closeness of styles by CSD (Somepalli et al. 2024), by the encoder whose vectors these are.

    The cosine to the references' mean direction would be this value divided by one constant per set of references (the
    mean's length), so it orders images and arms alike; the mean of cosines is the figure that the literature prints.
    It measures content and framing along with style, which is why only differences between arms that were drawn for
    the same prompts are judged.  Returns (n,), in [-1, 1].
    """
    cosines: NDArray[np.float64] = images.astype(np.float64) @ references.astype(np.float64).mean(axis=0)
    return cosines.round(DECIMALS)
