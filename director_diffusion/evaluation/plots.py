"""Plots of an evaluation.

Belongs here: pictures of effects.  Drawn on matplotlib's Agg canvas, without pyplot and its global state.
"""

import io
from collections.abc import Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from director_diffusion.evaluation.types import METRIC_NAMES, METRICS, Effect
from director_diffusion.evaluation.verdict import lower_bound
from director_diffusion.specs import Margins

AGAINST = {"base": "against base", "base_in_style": 'against base\n+ "in the style of"'}
COLOURS = {"above": "#1b7837", "across": "#8a6d00", "below": "#b2182b"}


def effects_plot(effects: Sequence[Effect], margins: Margins) -> Image.Image:
    """Forest plot: a panel per metric, a line per comparison, and the bound that its interval must lie above."""
    figure = Figure(figsize=(9, 2.9), layout="constrained")
    FigureCanvasAgg(figure)
    for metric, axes in zip(METRICS, figure.subplots(1, len(METRICS)), strict=True):
        shown = [effect for effect in effects if effect.metric == metric]
        bound = lower_bound(metric, margins)
        for row, effect in enumerate(shown):
            side = "above" if effect.low > bound else "below" if effect.high <= bound else "across"
            axes.plot([effect.low, effect.high], [row, row], color=COLOURS[side], linewidth=2.5)
            axes.plot([effect.mean], [row], "o", color=COLOURS[side], markersize=6)
            figures = f"{effect.mean:+.3f} [{effect.low:+.3f}, {effect.high:+.3f}]"
            axes.annotate(figures, (effect.mean, row), (0, 7), textcoords="offset points", ha="center", fontsize=8)
        axes.axvline(0, color="#999999", linewidth=0.8)
        axes.axvline(bound, color="#333333", linewidth=1, linestyle="--", label=f"bound {bound:+.3f}")
        axes.set_yticks(range(len(shown)), [AGAINST[effect.against] for effect in shown])
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.set_title(METRIC_NAMES[metric], fontsize=10)
        axes.set_xlabel("adapter − other arm, cosine", fontsize=9)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.margins(x=0.25)
        axes.tick_params(labelsize=8)
        axes.legend(fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.1), frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    with Image.open(buffer) as image:
        return image.convert("RGB")
