"""Cache: vectors by content, so that a new metric grades old samples without opening them.

Belongs here: which vectors are there, making those that are not, batch by batch, and keeping them.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import zip_longest
from typing import Generic, TypeVar

import torch
from PIL import Image

from director_diffusion.evaluation.encoders.base import BATCH, Encoder, TextEncoder, Vector, Vectors
from director_diffusion.hashing import hash_bytes, hash_data, short
from director_diffusion.progress import Progress
from director_diffusion.storage import ItemCache, Store
from director_diffusion.tensors import read_whole_items, write_item

THREADS = 2  # that decode images, which PIL does without the interpreter, and wait for the disk

AnyEncoder_co = TypeVar("AnyEncoder_co", bound=Encoder, covariant=True)
Wanted = TypeVar("Wanted")
Opened = TypeVar("Opened")
OpensImage = Callable[[], Image.Image]


class EmbeddingCache(Generic[AnyEncoder_co]):
    """One encoder's vectors: of images by their hash, of texts by their words.

    `load` is called only if something is missing.  `fingerprint` says the encoder's content; a `fresh` label asks for
    vectors of their own.  No more than two batches of images are open at a time.
    """

    def __init__(self, store: Store, fingerprint: str, load: Callable[[], AnyEncoder_co], *, fresh: str = ""):
        self._items = vector_items(store, fingerprint, fresh=fresh)
        self.name = short(hash_data({"encoder": fingerprint}))
        """What its vectors are seen by, whatever the label."""
        self._load = load
        self._encoder: AnyEncoder_co | None = None

    def images(self, images: Mapping[str, OpensImage], *, title: str, progress: Progress) -> dict[str, Vector]:
        """Vectors by content hash of RGB images that come as functions that open them."""
        return cached_vectors(
            self._items, images, _opened, lambda some: self.encoder().images(some), title=title, progress=progress
        )

    def texts(
        self: "EmbeddingCache[TextEncoder]", texts: Sequence[str], *, title: str, progress: Progress
    ) -> dict[str, Vector]:
        """Vectors by text, of an encoder that reads them."""
        named = {f"text-{short(hash_bytes(text.encode()))}": text for text in texts}
        vectors = cached_vectors(
            self._items, named, str, lambda some: self.encoder().texts(some), title=title, progress=progress
        )
        return {text: vectors[item] for item, text in named.items()}

    def encoder(self) -> AnyEncoder_co:
        """The encoder, loaded at the first call."""
        if self._encoder is None:
            self._encoder = self._load()
        return self._encoder


def vector_items(store: Store, fingerprint: str, *, fresh: str = "") -> ItemCache:
    """Where the vectors of one encoder are kept."""
    name = hash_data({"encoder": fingerprint, "fresh": fresh})
    return ItemCache(store, "embeddings", short(name), ".safetensors")


def cached_vectors(
    items: ItemCache,
    wanted: Mapping[str, Wanted],
    prepare: Callable[[Wanted], Opened],
    compute: Callable[[list[Opened]], Vectors],
    *,
    batch_size: int = BATCH,
    title: str,
    progress: Progress,
) -> dict[str, Vector]:
    """Vectors by item: read where they are whole, else computed batch after batch, and each written by itself.

    Threads open the next batch and write the one before while `compute` is at one.
    """
    found = {item: tensors["vector"].numpy() for item, tensors in read_whole_items(items, wanted)}
    missing = [item for item in wanted if item not in found]
    batches = [missing[start : start + batch_size] for start in range(0, len(missing), batch_size)]

    def write(item: str, vector: Vector) -> None:
        write_item(items, item, {"vector": torch.from_numpy(vector)})

    with progress.task(title, len(wanted)) as task, ThreadPoolExecutor(THREADS) as pool:
        task.advance(len(wanted) - len(missing))
        ahead = [pool.submit(prepare, wanted[item]) for item in (batches[0] if batches else ())]
        written: list[Future[None]] = []
        for batch, after in zip_longest(batches, batches[1:], fillvalue=()):
            prepared = [future.result() for future in ahead]
            ahead = [pool.submit(prepare, wanted[item]) for item in after]
            vectors = dict(zip(batch, compute(prepared), strict=True))
            _finish(written)
            written = [pool.submit(write, item, vector) for item, vector in vectors.items()]
            found |= vectors
            task.advance(len(batch))
        _finish(written)
    return found


def _finish(writes: Sequence[Future[None]]) -> None:
    for future in writes:
        future.result()


def _opened(opens: OpensImage) -> Image.Image:
    return opens()
