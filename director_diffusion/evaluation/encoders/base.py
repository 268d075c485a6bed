"""What all encoders are to the cache and the metrics.

Belongs here: their seam, and what loading weights has in common.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from director_diffusion.errors import ModelError
from director_diffusion.specs import HubSource
from director_diffusion.specs.bases import ModelSource

BATCH = 32

Vector = NDArray[np.float32]  # (dimensions,)
Vectors = NDArray[np.float32]  # (n, dimensions)


class Encoder(Protocol):
    """Something that sees pictures as vectors, always the same way."""

    def images(self, images: Sequence[Image.Image]) -> Vectors:
        """Vectors of RGB images; of length 1, unless the encoder says otherwise."""


class TextEncoder(Encoder, Protocol):
    """An encoder that puts words into the same space."""

    def texts(self, texts: Sequence[str]) -> Vectors:
        """Vectors of texts, of length 1."""


def single_weights(folder: Path, source: ModelSource, suffixes: Sequence[str], *, layout: str) -> Path:
    """The weights of a folder without the file `layout`, which would say more: the source's own, or the only ones.

    Raises ModelError where there are none or several.
    """
    if isinstance(source, HubSource) and source.weights:
        return folder / source.weights
    found = sorted(path for path in folder.iterdir() if path.suffix in suffixes)
    if len(found) != 1:
        raise ModelError(
            str(folder),
            f"holds no {layout}, and {len(found)} weights files ({', '.join(suffixes)}) where one is needed",
            "Give a folder in the model's own layout, or name the file as the source's `weights`.",
        )
    return found[0]
