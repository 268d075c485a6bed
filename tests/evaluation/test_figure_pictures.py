"""A figure's picture is what `savefig` writes of it."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from director_diffusion.figures import picture_of


def forest() -> Figure:
    figure = Figure(figsize=(8, 3), layout="constrained")
    for place, axes in enumerate(figure.subplots(2, 2, height_ratios=(1, 2)).ravel()):
        axes.plot([-0.3, 0.1 * place], [0, 1], color="#1b7837", linewidth=2.5)
        axes.annotate("+0.123", (0, 0), (0, 7), textcoords="offset points", ha="center", fontsize=8)
        axes.set_yticks(range(2), ['base, "in the style of"', "of these, 24 novel prompts"])
        axes.set_xticks([0, 1], ["12 Nov 2026", "19 Nov 2026"], rotation=30, ha="right")
        axes.set_title(f"panel {place}", fontsize=9)
    return figure


def curves() -> Figure:
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    losses, norms = figure.subplots(1, 2)
    losses.plot([1, 2, 3], [0.9, 0.5, 0.4], label="training, each step")
    losses.legend(fontsize=8, frameon=False)
    norms.plot([1, 2, 3], [1.0, 30.0, 0.2])
    norms.set_yscale("log")
    norms.twinx().set_ylabel("learning rate", fontsize=9)
    return figure


@pytest.mark.parametrize("make", [forest, curves])
def test_to_the_pixel(make: Callable[[], Figure]) -> None:
    written = io.BytesIO()
    make().savefig(written, format="png", dpi=110)
    drawn = picture_of(make(), 110)
    assert drawn.mode == "RGB"
    assert np.array_equal(np.asarray(drawn), np.asarray(Image.open(written).convert("RGB")))
