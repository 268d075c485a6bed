"""Plots of votes.

Belongs here: pictures of win rates and of metrics' agreement.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from director_diffusion.evaluation.plots import ARM_NAMES, COLOURS, DPI
from director_diffusion.figures import picture_of
from director_diffusion.voting.pairs import Side
from director_diffusion.voting.questions import QUESTIONS, Question
from director_diffusion.voting.standings import Standings
from director_diffusion.voting.statistics.rate import Rate

CHANCE = 0.5
TITLES: dict[Question, str] = {"style": "closer to the director", "prompt": "closer to the words"}


@dataclass(frozen=True)
class _Line:
    label: str
    rate: Rate | None
    preliminary: bool


def standings_plot(found: Standings) -> Image.Image:
    """Forest plot, a column per question: who is preferred above, which metrics prefer the same below.

    What is preliminary is grey.
    """
    rows = {
        question: (
            [
                _Line(f"{name(one.side)} against {name(one.against)}", one.rate, one.preliminary)
                for one in found.contests
                if one.question == question
            ],
            [_Line(one.metric, one.rate, one.preliminary) for one in found.agreements if one.question == question],
        )
        for question in QUESTIONS
    }
    heights = [0.9 + 0.4 * max(1, *(len(parts[part]) for parts in rows.values())) for part in (0, 1)]
    figure = Figure(figsize=(11, 0.4 + sum(heights)), layout="constrained")
    panels = figure.subplots(2, len(rows), squeeze=False, height_ratios=heights)
    for column, (question, parts) in enumerate(rows.items()):
        _panel(panels[0][column], parts[0], f"{TITLES[question]}: share, a tie a half")
        _panel(panels[1][column], parts[1], f"{TITLES[question]}: the metric agrees")
    return picture_of(figure, DPI)


def name(side: Side) -> str:
    """A side, as people read it."""
    return ARM_NAMES.get(side.arm, side.arm)


def _panel(axes: Axes, lines: Sequence[_Line], title: str) -> None:
    for row, line in enumerate(lines):
        if line.rate is None:
            axes.annotate("no vote", (CHANCE, row), ha="center", va="center", fontsize=8)
            continue
        colour = "#999999" if line.preliminary else COLOURS["pass"] if line.rate.low > CHANCE else COLOURS[""]
        axes.plot([line.rate.low, line.rate.high], [row, row], color=colour, linewidth=2.5)
        axes.plot([line.rate.share], [row], "o", color=colour, markersize=6)
        words = f"{line.rate.share:.0%} of {line.rate.n}"
        axes.annotate(words, (line.rate.share, row), (0, 7), textcoords="offset points", ha="center", fontsize=8)
    axes.axvline(CHANCE, color="#999999", linewidth=0.8)
    axes.set_xlim(-0.03, 1.03)
    axes.set_yticks(range(len(lines)), [line.label for line in lines])
    axes.set_ylim(max(len(lines), 1) - 0.4, -0.7)
    axes.set_title(title, fontsize=9)
    axes.tick_params(labelsize=8)
