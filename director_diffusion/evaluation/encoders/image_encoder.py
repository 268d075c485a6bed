"""Image encoder: any timm model as vectors, such as a DINOv2.

Belongs here: loading a timm model and running it in batches.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from PIL import Image
from safetensors import SafetensorError
from timm.data import create_transform, resolve_model_data_config
from timm.models import load_checkpoint
from torch import nn

from director_diffusion.errors import ModelError
from director_diffusion.evaluation.encoders.base import BATCH, Vectors, single_weights
from director_diffusion.evaluation.encoders.embedder import unit_rows
from director_diffusion.models.pickles import check_no_pickle
from director_diffusion.specs import HubSource, ImageEncoder
from director_diffusion.tensors import filled_up

CONFIG, WEIGHTS = "config.json", "model.safetensors"


class TimmEncoder:
    """A timm model with its own preprocessing; vectors are its pooled features, before any classifier.

    Of a DINOv2 they are the class token's after the last norm.  Pictures are scaled and cropped as the model's
    configuration says: published models see the centre square, those trained here all of the picture.
    """

    def __init__(self, folder: Path, spec: ImageEncoder, *, device: str):
        """Load from `folder`.  Raises ModelError where it holds no timm model, or one that lacks weights."""
        named = isinstance(spec.source, HubSource) and spec.source.weights
        if (folder / CONFIG).is_file():
            name, weights = f"local-dir:{folder}", folder / (named or WEIGHTS)
        else:
            name, weights = spec.model, single_weights(folder, spec.source, (".safetensors",), layout=CONFIG)
        check_no_pickle(weights)
        try:
            model = timm.create_model(name, pretrained=False, num_classes=0)
            found = load_checkpoint(model, str(weights), strict=False)
        except (RuntimeError, KeyError, ValueError, OSError, SafetensorError) as error:
            raise ModelError(
                str(folder), f"cannot be loaded as the timm model {spec.model}: {error}", "Check image_encoder.source."
            ) from error
        _refuse_others(found.missing_keys, found.unexpected_keys, model.pretrained_cfg, folder, spec)
        self._model: nn.Module = model.eval().to(device)
        self._preprocess = create_transform(**resolve_model_data_config(model), is_training=False)
        self._device = device

    @torch.inference_mode()
    def images(self, images: Sequence[Image.Image]) -> Vectors:
        """Vectors of RGB images, of length 1."""
        pixels = filled_up(torch.stack([self._preprocess(image) for image in images]), BATCH)
        return unit_rows(self._model(pixels.to(self._device)))[: len(images)]


def _refuse_others(
    missing: Sequence[str], unexpected: Sequence[str], config: Mapping[str, Any], folder: Path, spec: ImageEncoder
) -> None:
    """A classifier is left behind; whatever else the file lacks would go on as random numbers."""
    named = config.get("classifier") or ()
    classifiers = tuple(f"{name}." for name in ([named] if isinstance(named, str) else named))
    strange = [key for key in unexpected if not key.startswith(classifiers)]
    if missing or strange:
        raise ModelError(
            str(folder),
            f"holds other weights than the timm model {spec.model}: {len(missing)} are missing{_such_as(missing)}, "
            f"{len(strange)} are not its own{_such_as(strange)}",
            "Check image_encoder.model and its source.",
        )


def _such_as(keys: Sequence[str]) -> str:
    return f" (such as {min(keys)})" if keys else ""
