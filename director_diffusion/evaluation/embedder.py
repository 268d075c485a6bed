"""Embedder: open_clip's image and text embeddings, kept by content.

Belongs here: loading an open_clip model, running it in batches, and the cache of its vectors.  Metrics over the vectors
live in `scores`.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from torch.nn import functional as F

from director_diffusion.errors import ModelError
from director_diffusion.evaluation.types import EMBEDDING_VERSION
from director_diffusion.hashing import hash_bytes, hash_data, short
from director_diffusion.progress import Progress
from director_diffusion.specs import Embedder, HubSource
from director_diffusion.storage import ItemCache, Store
from director_diffusion.tensors import filled_up, read_whole_items, write_item

BATCH = 32
WEIGHTS = (".safetensors", ".bin", ".pth", ".pt")

Vector = NDArray[np.float32]  # (dimensions,), of length 1
Vectors = NDArray[np.float32]  # (n, dimensions), each row of length 1
Wanted = TypeVar("Wanted")


class ClipEmbedder:
    """An open_clip model with its own preprocessing and tokenizer.

    Pictures are seen as the model was trained to see them: by published CLIP models the centre square, by those trained
    here all of it, scaled to one size.  Either keeps an image's aspect ratio, which arms and stills need not share, out
    of the comparison.
    """

    def __init__(self, folder: Path, spec: Embedder, *, device: str):
        """Load from `folder`.  Raises ModelError where it holds no open_clip model."""
        if (folder / "open_clip_config.json").is_file():
            name, weights = f"local-dir:{folder}", None
        else:
            name, weights = spec.model, str(_single_weights(folder, spec))
        try:
            model, preprocess = open_clip.create_model_from_pretrained(
                name, pretrained=weights, device=device, precision="fp32"
            )
            self._tokenize = open_clip.get_tokenizer(name)
        except (RuntimeError, ValueError, OSError, SafetensorError) as error:
            raise ModelError(
                str(folder), f"cannot be loaded as the open_clip model {spec.model}: {error}", "Check embedder.source."
            ) from error
        self._model, self._preprocess, self._device = model.eval(), preprocess, device

    @torch.inference_mode()
    def images(self, images: Sequence[Image.Image]) -> Vectors:
        """Vectors of RGB images."""
        pixels = filled_up(torch.stack([self._preprocess(image) for image in images]), BATCH)
        return _unit(self._model.encode_image(pixels.to(self._device)))[: len(images)]

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> Vectors:
        """Vectors of texts; words beyond the model's context length are not seen."""
        tokens = filled_up(self._tokenize(list(texts)), BATCH)
        return _unit(self._model.encode_text(tokens.to(self._device)))[: len(texts)]


class EmbeddingCache:
    """Vectors by content: of images by their hash, of texts by their words.

    `load` is called only if something is missing.  `fingerprint` says the model's content; a `fresh` label asks for
    vectors of their own.
    """

    def __init__(self, store: Store, fingerprint: str, load: Callable[[], ClipEmbedder], *, fresh: str = ""):
        name = hash_data({"embedding": EMBEDDING_VERSION, "embedder": fingerprint, "fresh": fresh})
        self._items = ItemCache(store, "embeddings", short(name), ".safetensors")
        self._load = load
        self._embedder: ClipEmbedder | None = None

    def images(
        self, images: Mapping[str, Callable[[], Image.Image]], *, title: str, progress: Progress
    ) -> dict[str, Vector]:
        """Vectors by content hash of images that come as functions that open them."""
        return self._vectors(images, lambda opens: self._model().images([o() for o in opens]), title, progress)

    def texts(self, texts: Sequence[str], *, title: str, progress: Progress) -> dict[str, Vector]:
        """Vectors by text."""
        named = {f"text-{short(hash_bytes(text.encode()))}": text for text in texts}
        vectors = self._vectors(named, lambda some: self._model().texts(some), title, progress)
        return {text: vectors[item] for item, text in named.items()}

    def _vectors(
        self, wanted: Mapping[str, Wanted], embed: Callable[[list[Wanted]], Vectors], title: str, progress: Progress
    ) -> dict[str, Vector]:
        found = {item: tensors["vector"].numpy() for item, tensors in read_whole_items(self._items, wanted)}
        missing = [item for item in wanted if item not in found]
        with progress.task(title, len(wanted)) as task:
            task.advance(len(wanted) - len(missing))
            for start in range(0, len(missing), BATCH):
                batch = missing[start : start + BATCH]
                for item, vector in zip(batch, embed([wanted[item] for item in batch]), strict=True):
                    write_item(self._items, item, {"vector": torch.from_numpy(vector)})
                    found[item] = vector
                task.advance(len(batch))
        return found

    def _model(self) -> ClipEmbedder:
        if self._embedder is None:
            self._embedder = self._load()
        return self._embedder


def _unit(vectors: torch.Tensor) -> Vectors:
    return F.normalize(vectors.float(), dim=-1).cpu().numpy()


def _single_weights(folder: Path, spec: Embedder) -> Path:
    """The weights of a folder that does not say its architecture."""
    if isinstance(spec.source, HubSource) and spec.source.weights:
        return folder / spec.source.weights
    found = sorted(path for path in folder.iterdir() if path.suffix in WEIGHTS)
    if len(found) != 1:
        raise ModelError(
            str(folder),
            f"holds no open_clip_config.json, and {len(found)} weights files where one is needed",
            "Give a folder in open_clip's layout, or name the file as embedder.source.weights.",
        )
    return found[0]
