"""Plots of a training.

Belongs here: pictures of the curve.
"""

import textwrap
from collections.abc import Sequence

from matplotlib.figure import Figure
from PIL import Image

from director_diffusion.figures import picture_of
from director_diffusion.training.rows import CurvePoint

SMOOTHING = 0.9  # of the moving average drawn over the raw loss


def curve_plot(curve: Sequence[CurvePoint], chosen: int, by: str, *, watched: bool = False) -> Image.Image:
    """Training loss, also smoothed, held-out loss, gradient norm and learning rate; and the step that `by` chose.

    `watched`: the held-out loss is of stills that were learned too.
    """
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    losses, norms = figure.subplots(1, 2)

    trained = [(point.step, point.loss) for point in curve if point.loss is not None]
    steps = [step for step, _ in trained]
    losses.plot(steps, [loss for _, loss in trained], color="#9ecae1", linewidth=0.8, label="training, each step")
    losses.plot(steps, _smoothed([loss for _, loss in trained]), color="#2171b5", linewidth=1.5, label="smoothed")
    label = "watched (learned too)" if watched else "held out"
    held_out = [(point.step, point.held_out_loss) for point in curve if point.held_out_loss is not None]
    losses.plot(*zip(*held_out, strict=True), "o-", color="#b2182b", markersize=3.5, linewidth=1.2, label=label)
    losses.axvline(
        chosen,
        color="#b2182b",
        linewidth=0.8,
        linestyle="--",
        label=textwrap.shorten(f"step {chosen}, by {by}", 40, placeholder=" …"),
    )
    losses.set_ylabel("loss", fontsize=9)
    losses.legend(fontsize=8, frameon=False)

    norms.plot(
        steps, [point.grad_norm for point in curve if point.grad_norm is not None], color="#8a6d00", linewidth=0.8
    )
    norms.set_yscale("log")
    norms.set_ylabel("gradient norm", fontsize=9, color="#8a6d00")
    rates = norms.twinx()
    rates.plot(steps, [point.lr for point in curve if point.lr is not None], color="#1b7837", linewidth=1.2)
    rates.set_ylabel("learning rate", fontsize=9, color="#1b7837")
    for axes in (losses, norms, rates):
        axes.tick_params(labelsize=8)
    for axes in (losses, norms):
        axes.set_xlabel("optimizer step", fontsize=9)
    return picture_of(figure, 120)


def _smoothed(values: Sequence[float]) -> list[float]:
    smoothed: list[float] = []
    for value in values:
        smoothed.append(SMOOTHING * smoothed[-1] + (1 - SMOOTHING) * value if smoothed else value)
    return smoothed
