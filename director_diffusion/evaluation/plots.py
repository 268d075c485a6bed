"""Plots of an evaluation.

Belongs here: pictures of effects and of confusion.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from director_diffusion.evaluation.types import DISTANCES, METRIC_NAMES, Effect, Evaluation, Metric
from director_diffusion.figures import picture_of

AGAINST = {
    "base": "base",
    "base_in_style": 'base, "in the style of"',
    "published": "published before",
}
ARM_NAMES = {**AGAINST, "adapter": "adapter"}
COLOURS = {"pass": "#1b7837", "undecided": "#8a6d00", "fail": "#b2182b", "": "#4a5a6a"}
COLUMNS = 2
DPI = 110


def effects_plot(evaluation: Evaluation) -> Image.Image:
    """Forest plot: a panel per metric, a line per comparison; judged ones in their outcome's colour, with bounds.

    Of style and prompt fidelity, the director's own prompts and the novel ones stand below, each apart.
    """
    judged: list[Metric] = [evaluation.style, "prompt"]
    others = dict.fromkeys(effect.metric for effect in evaluation.effects if effect.metric not in judged)
    shown = {
        metric: [
            effect
            for against in AGAINST
            for effect in evaluation.effects
            if (effect.metric, effect.against) == (metric, against) and (metric in judged or effect.part == "all")
        ]
        for metric in (*judged, *others)
    }
    lines = [len(effects) for effects in shown.values()]
    heights = [0.8 + 0.4 * max(lines[place : place + COLUMNS]) for place in range(0, len(lines), COLUMNS)]
    figure = Figure(figsize=(11, 0.3 + sum(heights)), layout="constrained")
    panels = figure.subplots(len(heights), COLUMNS, squeeze=False, height_ratios=heights).ravel().tolist()
    for (metric, effects), axes in zip(shown.items(), panels, strict=False):
        _panel(axes, metric, effects, evaluation)
    for axes in panels[len(shown) :]:
        axes.set_visible(False)
    return picture_of(figure, DPI)


def _panel(axes: Axes, metric: Metric, shown: Sequence[Effect], evaluation: Evaluation) -> None:
    findings = {finding.name: finding for finding in evaluation.findings}
    name = "prompt" if metric == "prompt" else "style" if metric == evaluation.style else metric
    for row, effect in enumerate(shown):
        finding = findings.get(f"{name}_{effect.against}") if effect.part == "all" else None
        colour = COLOURS[finding.outcome if finding is not None else ""]
        axes.plot([effect.low, effect.high], [row, row], color=colour, linewidth=2.5)
        axes.plot([effect.mean], [row], "o", color=colour, markersize=6)
        if finding is not None:
            axes.plot([finding.bound, finding.bound], [row - 0.35, row + 0.35], color="#333333", linestyle="--")
        words = f"{effect.mean:+.3f} [{effect.low:+.3f}, {effect.high:+.3f}]"
        axes.annotate(words, (effect.mean, row), (0, 7), textcoords="offset points", ha="center", fontsize=8)
    axes.axvline(0, color="#999999", linewidth=0.8)
    axes.set_yticks(range(len(shown)), [_line(effect) for effect in shown])
    axes.set_ylim(len(shown) - 0.5, -0.6)
    axes.set_title(METRIC_NAMES[metric], fontsize=9)
    judged = any(f"{name}_{effect.against}" in findings for effect in shown)
    remark = "; dashed: bound" if judged else " (less is nearer)" if metric in DISTANCES else ""
    axes.set_xlabel(f"adapter − other arm{remark}", fontsize=8)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.margins(x=0.25)
    axes.tick_params(labelsize=8)


def _line(effect: Effect) -> str:
    return AGAINST[effect.against] if effect.part == "all" else f"of these, {effect.n} {effect.part} prompts"


def history_plot(told: Sequence[tuple[datetime, Mapping[str, object]]]) -> Image.Image:
    """Style and prompt effect with their intervals over evaluations, by the facts that `facts.facts_of` names."""
    figure = Figure(figsize=(9, 2.8), layout="constrained")
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
    return picture_of(figure, DPI)


def confusion_plot(director: str, confusion: Mapping[str, Mapping[str, float]]) -> Image.Image:
    """Confusion matrix: each arm's mean closeness (row) to each director's held-out stills (column).

    The director's own column comes first, and the nearest of each row is bold.
    """
    arms = list(confusion)
    columns = sorted(confusion[arms[0]], key=lambda slug: (slug != director, slug))
    figure = Figure(figsize=(2.2 + 1.05 * len(columns), 1.3 + 0.42 * len(arms)), layout="constrained")
    axes = figure.subplots()
    axes.imshow([[confusion[arm][slug] for slug in columns] for arm in arms], cmap="Greens", aspect="auto")
    low, high = (end(value for row in confusion.values() for value in row.values()) for end in (min, max))
    for row, arm in enumerate(arms):
        for column, slug in enumerate(columns):
            value = confusion[arm][slug]
            axes.annotate(
                f"{value:.3f}",
                (column, row),
                ha="center",
                va="center",
                fontsize=9,
                color="white" if value > (low + high) / 2 else "black",
                weight="bold" if value == max(confusion[arm].values()) else "normal",
            )
    axes.set_xticks(range(len(columns)), columns, rotation=30, ha="right")
    axes.set_yticks(range(len(arms)), [ARM_NAMES.get(arm, arm) for arm in arms])
    axes.set_xlabel("mean cosine to the held-out stills of", fontsize=9)
    axes.tick_params(labelsize=9)
    return picture_of(figure, DPI)
