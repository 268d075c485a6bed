"""Plots of an evaluation.

Belongs here: pictures of effects and of confusion.  Drawn on matplotlib's Agg canvas, without pyplot and its global
state.
"""

import io
from collections.abc import Mapping, Sequence
from datetime import datetime

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from director_diffusion.evaluation.types import DISTANCES, METRIC_NAMES, Effect, Evaluation, Metric

AGAINST = {
    "base": "base",
    "base_in_style": 'base, "in the style of"',
    "published": "published before",
}
COLOURS = {"pass": "#1b7837", "undecided": "#8a6d00", "fail": "#b2182b", "": "#4a5a6a"}
COLUMNS = 2


def effects_plot(evaluation: Evaluation) -> Image.Image:
    """Forest plot: a panel per metric, a line per comparison; judged ones in their outcome's colour, with bounds."""
    metrics: list[Metric] = [evaluation.style, "prompt"]
    metrics += [
        metric for metric in dict.fromkeys(effect.metric for effect in evaluation.effects) if metric not in metrics
    ]
    rows = -(-len(metrics) // COLUMNS)
    figure = Figure(figsize=(11, 0.6 + 2.0 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, COLUMNS, squeeze=False).ravel().tolist()
    for metric, axes in zip(metrics, panels, strict=False):
        _panel(axes, metric, [effect for effect in evaluation.effects if effect.metric == metric], evaluation)
    for axes in panels[len(metrics) :]:
        axes.set_visible(False)
    return _picture(figure)


def _panel(axes: Axes, metric: Metric, effects: Sequence[Effect], evaluation: Evaluation) -> None:
    findings = {finding.name: finding for finding in evaluation.findings}
    shown = [effect for effect in effects if effect.part == "all"]
    name = "prompt" if metric == "prompt" else "style" if metric == evaluation.style else metric
    for row, effect in enumerate(shown):
        finding = findings.get(f"{name}_{effect.against}")
        colour = COLOURS[finding.outcome if finding is not None else ""]
        axes.plot([effect.low, effect.high], [row, row], color=colour, linewidth=2.5)
        axes.plot([effect.mean], [row], "o", color=colour, markersize=6)
        if finding is not None:
            axes.plot([finding.bound, finding.bound], [row - 0.35, row + 0.35], color="#333333", linestyle="--")
        words = f"{effect.mean:+.3f} [{effect.low:+.3f}, {effect.high:+.3f}]"
        axes.annotate(words, (effect.mean, row), (0, 7), textcoords="offset points", ha="center", fontsize=8)
    axes.axvline(0, color="#999999", linewidth=0.8)
    axes.set_yticks(range(len(shown)), [AGAINST[effect.against] for effect in shown])
    axes.set_ylim(len(shown) - 0.5, -0.6)
    axes.set_title(METRIC_NAMES[metric], fontsize=9)
    judged = any(f"{name}_{effect.against}" in findings for effect in shown)
    remark = "; dashed: bound" if judged else " (less is nearer)" if metric in DISTANCES else ""
    axes.set_xlabel(f"adapter − other arm{remark}", fontsize=8)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.margins(x=0.25)
    axes.tick_params(labelsize=8)


def history_plot(told: Sequence[tuple[datetime, Mapping[str, object]]]) -> Image.Image:
    """Style and prompt effect with their intervals over evaluations, by the facts that `facts.facts_of` names."""
    figure = Figure(figsize=(9, 2.8), layout="constrained")
    FigureCanvasAgg(figure)
    for name, axes in zip(("style", "prompt"), figure.subplots(1, 2), strict=True):
        labels = (f"{name} effect", f"{name} effect, low", f"{name} effect, high")
        points = [(when, *(facts.get(label) for label in labels)) for when, facts in told]
        known = [point for point in points if all(isinstance(value, float) for value in point[1:])]
        for place, (_, mean, low, high) in enumerate(known):
            axes.plot([place, place], [low, high], color=COLOURS[""], linewidth=2)
            axes.plot([place], [mean], "o", color=COLOURS["pass"], markersize=5)
        axes.axhline(0, color="#999999", linewidth=0.8)
        axes.set_xticks(range(len(known)), [f"{point[0]:%d %b %Y}" for point in known], rotation=30, ha="right")
        axes.set_title(labels[0], fontsize=9)
        axes.tick_params(labelsize=7)
        axes.margins(x=0.2)
    return _picture(figure)


def confusion_plot(director: str, confusion: Mapping[str, float]) -> Image.Image:
    """Closeness of an adapter's pictures to each director's held-out stills, the nearest above; its own in green."""
    ordered = sorted(confusion, key=lambda name: -confusion[name])
    figure = Figure(figsize=(7, 0.9 + 0.32 * len(ordered)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    colours = [COLOURS["pass"] if name == director else COLOURS[""] for name in ordered]
    bars = axes.barh(range(len(ordered)), [confusion[name] for name in ordered], color=colours)
    axes.bar_label(bars, fmt="%.3f", fontsize=8, padding=3)
    axes.set_yticks(range(len(ordered)), ordered)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set_xlabel("mean cosine of the adapter's pictures to held-out stills of", fontsize=9)
    axes.tick_params(labelsize=9)
    return _picture(figure)


def _picture(figure: Figure) -> Image.Image:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    with Image.open(buffer) as image:
        return image.convert("RGB")
