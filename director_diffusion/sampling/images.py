"""Sampled images as files.

Belongs here: how a sample is stored and read.  Imports no torch.
"""

import io

from PIL import Image, UnidentifiedImageError

from director_diffusion.errors import EvaluationError
from director_diffusion.sampling.rows import Sample
from director_diffusion.storage import Store


def png_bytes(image: Image.Image, compress_level: int = 6) -> bytes:
    """A PNG without metadata: equal pixels give equal bytes."""
    buffer = io.BytesIO()
    plain = Image.frombytes(image.mode, image.size, image.tobytes())  # leaves `image.info` behind
    plain.save(buffer, format="PNG", compress_level=compress_level)
    return buffer.getvalue()


def open_sample(store: Store, sample: Sample) -> Image.Image:
    """A sample's pixels, as `open_picture`."""
    return open_picture(store, sample.reference)


def open_picture(store: Store, reference: str) -> Image.Image:
    """A picture's pixels, RGB.  Raises StoreError where its file is absent, EvaluationError where it is damaged."""
    data = store.read(reference)
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:  # all of these Pillow says of a PNG
        raise EvaluationError(
            reference, "is damaged", f"Delete it in {store.url} and materialize the samples again."
        ) from error
