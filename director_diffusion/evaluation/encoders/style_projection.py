"""Style projection: CSD's descriptor of style (Somepalli et al. 2024, arXiv 2404.01292).

Belongs here: reading its weights, and running the tower that they describe.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from open_clip.transform import image_transform
from open_clip.transformer import QuickGELU, VisionTransformer
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from director_diffusion.errors import ModelError
from director_diffusion.evaluation.encoders.base import BATCH, Vectors
from director_diffusion.evaluation.encoders.embedder import unit_rows
from director_diffusion.models.pickles import check_no_pickle
from director_diffusion.specs import StyleProjection
from director_diffusion.tensors import filled_up

HEAD_WIDTH = 64  # of each attention head, in all of OpenAI's CLIP towers
STYLE, CONTENT = "last_layer_style", "last_layer_content"


class CsdEncoder:
    """A CLIP vision tower, with the style projection in the place of its own.

    The shape of the tower is read off the weights, in OpenAI's naming (`backbone.…`, as the authors' code writes them).
    Pictures are seen as the authors show them: the short side scaled to the tower's, then the centre square.
    """

    def __init__(self, folder: Path, spec: StyleProjection, *, device: str):
        """Load from `folder`.  Raises ModelError where the weights are absent or not CSD's."""
        path = folder / spec.weights
        weights = _read(path)
        tower = _tower(weights, path)
        try:
            found = tower.load_state_dict(weights, strict=False)
        except RuntimeError as error:
            raise ModelError(
                str(path), f"does not fit together: {error}", "Check style_projection.source and its weights."
            ) from error
        _refuse(path, found.missing_keys, found.unexpected_keys)
        self._tower, self._device = tower.eval().to(device), device
        self._preprocess = image_transform(
            tower.image_size, is_train=False, mean=OPENAI_DATASET_MEAN, std=OPENAI_DATASET_STD
        )

    @torch.inference_mode()
    def images(self, images: Sequence[Image.Image]) -> Vectors:
        """Style descriptors of RGB images, of length 1."""
        pixels = filled_up(torch.stack([self._preprocess(image) for image in images]), BATCH)
        return unit_rows(self._tower(pixels.to(self._device)))[: len(images)]


def _read(path: Path) -> dict[str, Tensor]:
    """Weights by open_clip's names: `last_layer_style` (width, dimensions) stands where the tower's own `proj` did."""
    check_no_pickle(path)
    try:
        read = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(str(path), f"cannot be read: {error}", "Check style_projection.source.") from error
    plain = {name.removeprefix("module."): tensor.float() for name, tensor in read.items()}
    if STYLE not in plain:
        raise ModelError(str(path), f"lacks {STYLE}, which makes a CLIP tower CSD's", "Check style_projection.weights.")
    return {
        "proj" if name == STYLE else name.removeprefix("backbone."): tensor
        for name, tensor in plain.items()
        if not name.startswith(CONTENT)
    }


def _tower(weights: Mapping[str, Tensor], path: Path) -> VisionTransformer:
    needed = ("conv1.weight", "positional_embedding", "transformer.resblocks.0.mlp.c_fc.weight")
    _refuse(path, [name for name in needed if name not in weights], [])
    width, _, patch, _ = weights["conv1.weight"].shape
    cells = weights["positional_embedding"].shape[0] - 1  # without the class token's
    blocks = {name.split(".")[2] for name in weights if name.startswith("transformer.resblocks.")}
    return VisionTransformer(
        image_size=patch * round(cells**0.5),
        patch_size=patch,
        width=width,
        layers=len(blocks),
        heads=width // HEAD_WIDTH,
        mlp_ratio=weights["transformer.resblocks.0.mlp.c_fc.weight"].shape[0] / width,
        act_layer=QuickGELU,
        output_dim=weights["proj"].shape[1],
    )


def _refuse(path: Path, missing: Sequence[str], unexpected: Sequence[str]) -> None:
    """What the file lacks would go on as random numbers; what it has more is of another architecture."""
    if missing or unexpected:
        told = [f"{words} {', '.join(keys[:5])}" for words, keys in (("lacks", missing), ("has", unexpected)) if keys]
        raise ModelError(
            str(path),
            f"is not CSD's vision tower in OpenAI's naming: it {' and '.join(told)}",
            "Check style_projection.source and its weights.",
        )
