"""Embedder: open_clip's image and text embeddings.

Belongs here: loading an open_clip model and running it in batches.
"""

from collections.abc import Sequence
from pathlib import Path

import open_clip
import torch
from PIL import Image
from safetensors import SafetensorError
from torch.nn import functional as F

from director_diffusion.errors import ModelError
from director_diffusion.evaluation.encoders.base import BATCH, Vectors, single_weights
from director_diffusion.models.pickles import PICKLES, SAFE, check_no_pickle
from director_diffusion.specs import Embedder
from director_diffusion.tensors import filled_up

CONFIG = "open_clip_config.json"
FIRST = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors")  # what open_clip takes before all else


class ClipEmbedder:
    """An open_clip model with its own preprocessing and tokenizer.

    Pictures are seen as the model was trained to see them: by published CLIP models the centre square, by those trained
    here all of it, scaled to one size.  Either keeps an image's aspect ratio, which arms and stills need not share, out
    of the comparison.
    """

    def __init__(self, folder: Path, spec: Embedder, *, device: str):
        """Load from `folder`.  Raises ModelError where it holds no open_clip model."""
        if (folder / CONFIG).is_file():
            name, weights = f"local-dir:{folder}", None
            if not any((folder / one).is_file() for one in FIRST):
                for path in sorted(path for path in folder.iterdir() if path.suffix in PICKLES):
                    check_no_pickle(path)
        else:
            file = single_weights(folder, spec.source, (SAFE, *PICKLES), layout=CONFIG)
            check_no_pickle(file)
            name, weights = spec.model, str(file)
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
        return unit_rows(self._model.encode_image(pixels.to(self._device)))[: len(images)]

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> Vectors:
        """Vectors of texts; words beyond the model's context length are not seen."""
        tokens = filled_up(self._tokenize(list(texts)), BATCH)
        return unit_rows(self._model.encode_text(tokens.to(self._device)))[: len(texts)]


def unit_rows(vectors: torch.Tensor) -> Vectors:
    """Vectors (n, dimensions) at length 1, as the cache keeps them."""
    return F.normalize(vectors.float(), dim=-1).cpu().numpy()
