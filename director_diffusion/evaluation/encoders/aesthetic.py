"""Aesthetic heads: people's ratings regressed on CLIP's image vectors.

Belongs here: reading a head's file, and applying it.  It grades a taste of photographs on the web, so it is told beside
the verdict and never judged by.
"""

import pickle
import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from director_diffusion.errors import ModelError
from director_diffusion.evaluation.encoders.base import Vectors
from director_diffusion.specs import AestheticHead

Layer = tuple[NDArray[np.float64], NDArray[np.float64]]  # weight (out, in), bias (out,)

LINEAR = {"weight", "bias"}
MLP = re.compile(r"^layers\.(\d+)\.(weight|bias)$")


class AestheticScorer:
    """LAION's linear head, or the five layers of improved-aesthetic-predictor's, told apart by their names.

    The latter have dropout between them and no activation, so that all of it is linear too.
    """

    def __init__(self, folder: Path, spec: AestheticHead):
        """Read the head.  Raises ModelError where the file is absent or holds no such head."""
        self._path, self._embedder = folder / spec.file, spec.embedder.model
        self._layers = _layers(_read(self._path), self._path)

    def scores(self, vectors: Vectors) -> NDArray[np.float64]:
        """Ratings (n,), on a scale of about 1 to 10, of image vectors (n, dimensions) of length 1.

        Raises ModelError where the vectors are of another width than the head was trained on.
        """
        width = self._layers[0][0].shape[1]
        if vectors.shape[1] != width:
            raise ModelError(
                str(self._path),
                f"takes vectors of {width} numbers, and those of {self._embedder} have {vectors.shape[1]}",
                "Give the head the embedder that it was trained on.",
            )
        x = vectors.astype(np.float64)
        for weight, bias in self._layers:
            x = x @ weight.T + bias
        return np.asarray(x[:, 0])


def _read(path: Path) -> Mapping[str, Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
        raise ModelError(
            str(path), f"cannot be read as plain weights: {error}", "Check aesthetic.source and its file."
        ) from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelError(str(path), "holds other things than tensors by name", "Check aesthetic.source and its file.")
    return state


def _layers(state: Mapping[str, Tensor], path: Path) -> tuple[Layer, ...]:
    if set(state) == LINEAR:
        names = [""]
    elif state and all(MLP.match(name) for name in state):
        names = [f"layers.{number}." for number in sorted({int(name.split(".")[1]) for name in state})]
    else:
        names = []
    layers = tuple(
        (state[f"{name}weight"].double().numpy(), state[f"{name}bias"].double().numpy())
        for name in names
        if {f"{name}weight", f"{name}bias"} <= set(state)
    )
    fits = all(left[0].shape[0] == right[0].shape[1] for left, right in pairwise(layers))
    if not layers or len(layers) < len(names) or not fits or layers[-1][0].shape[0] != 1:
        raise ModelError(
            str(path),
            f"is no aesthetic head: it holds {', '.join(sorted(state)[:6])}",
            "Give one of LAION's linear heads, or improved-aesthetic-predictor's.",
        )
    return layers
