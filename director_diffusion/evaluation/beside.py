"""Beside: an adapter's scores beside another's of the same director, paired by prompt and noise.

Belongs here: differences of two evaluations that drew the same, and their file.  Which two they are, is the stage's to
say; the version published before is compared by `earlier`, picture by picture.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from director_diffusion.evaluation.difference import Difference, rows_of
from director_diffusion.evaluation.effects import Grid, difference_of
from director_diffusion.evaluation.metrics.similarity import DECIMALS
from director_diffusion.evaluation.types import Evaluation, Metric
from director_diffusion.markdown import table
from director_diffusion.sampling.rows import Arm
from director_diffusion.specs import EvaluationPlan

FILE = "beside.json"
SAME = 1e-4  # of a score of one picture, seen twice
BASES: tuple[Arm, ...] = ("base", "base_in_style")


@dataclass(frozen=True)
class Beside:
    """What one adapter gains or loses against another."""

    of: str  # the adapter's asset
    other: str
    why_not: str  # why they are not compared; "" where they are
    style: Metric
    differences: tuple[Difference, ...] = ()
    kept: Mapping[str, float] = field(default_factory=dict)  # of the other's effect on style, by base arm: `_kept`

    def difference(self, metric: Metric) -> Difference | None:
        return next((one for one in self.differences if one.metric == metric), None)

    def write(self, folder: Path) -> None:
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False, allow_nan=False)
        (folder / FILE).write_text(text + "\n", encoding="utf-8")


def beside_from(data: Mapping[str, Any]) -> Beside:
    """The parsed content of `beside.json`."""
    return Beside(**{**data, "differences": tuple(Difference(**one) for one in data["differences"])})


def set_beside(ours: Evaluation, theirs: Evaluation, plan: EvaluationPlan, *, of: str, other: str) -> Beside:
    """Differences of each metric that both have, by the plan's resampling.

    They are compared where pictures were drawn alike, of the same prompts and noise, and the base's own pictures had
    the same scores: then both were judged by the same stills and eyes.
    """
    mine, its = _by_place(ours), _by_place(theirs)
    if why_not := _why_not(ours, theirs, mine, its):
        return Beside(of, other, why_not, ours.style)
    differences = []
    for metric in dict.fromkeys(metric for metric, arm in mine if arm == "adapter"):
        if (metric, "adapter") in its:
            values, before = _grid(mine[metric, "adapter"]), _grid(its[metric, "adapter"], mine[metric, "adapter"])
            differences.append(difference_of(metric, values, before, plan))
    return Beside(of, other, "", ours.style, tuple(differences), _kept(mine, theirs, its))


def facts_of_beside(beside: Beside) -> dict[str, int | float | str]:
    """By name, in the order in which they are shown."""
    if beside.why_not:
        return {f"beside {beside.other}": f"not compared: {beside.why_not}"}
    facts: dict[str, int | float | str] = {}
    names: tuple[tuple[str, Metric], ...] = (("style", beside.style), ("prompt", "prompt"))
    for name, metric in names:
        if (found := beside.difference(metric)) is not None:
            title = f"{name} beside {beside.other}"
            facts |= {title: found.mean, f"{title}, low": found.low, f"{title}, high": found.high}
    for against, share in beside.kept.items():
        facts[f"share of its style effect against {against}"] = share
    return facts


def table_of_beside(beside: Beside) -> str:
    """Markdown: a row per metric."""
    if beside.why_not:
        return f"Not compared: {beside.why_not}."
    return table(["mean of", beside.of, beside.other, "difference"], rows_of(beside.differences))


_Place = tuple[int, int]  # prompt and noise
_Scores = Mapping[tuple[Metric, Arm], Mapping[_Place, float]]


def _by_place(evaluation: Evaluation) -> _Scores:
    found: dict[tuple[Metric, Arm], dict[_Place, float]] = {}
    for score in evaluation.scores:
        found.setdefault((score.metric, score.arm), {})[score.prompt_index, score.seed] = score.value
    return found


def _why_not(ours: Evaluation, theirs: Evaluation, mine: _Scores, its: _Scores) -> str:
    if ours.drawing != theirs.drawing:
        return "their pictures were drawn otherwise"
    for key in mine.keys() & its.keys():
        if mine[key].keys() != its[key].keys():
            return "they were asked for other prompts, or drew them from other noise"
        if key[1] in BASES and any(abs(value - its[key][place]) > SAME for place, value in mine[key].items()):
            return "the base's own pictures have other scores: they were judged by other stills or encoders"
    return ""


def _grid(scores: Mapping[_Place, float], order: Mapping[_Place, float] | None = None) -> Grid:
    """Values (prompts, seeds), in the `order` of another's places."""
    rows: dict[int, list[float]] = {}
    for place in order or scores:
        rows.setdefault(place[0], []).append(scores[place])
    grid: NDArray[np.float64] = np.array(list(rows.values()), dtype=np.float64)
    return grid


def _kept(mine: _Scores, theirs: Evaluation, its: _Scores) -> dict[str, float]:
    """The share of the other's effect on style that is there too, by base arm; none of an effect that is not shown."""
    shares: dict[str, float] = {}
    shown = {effect.against for effect in theirs.effects if effect.metric == theirs.style and effect.low > 0}
    for against in BASES:
        both = [[scores.get((theirs.style, arm)) for arm in ("adapter", against)] for scores in (mine, its)]
        if against in shown and all(values for pair in both for values in pair):
            ours, other = (fmean(pair[0].values()) - fmean(pair[1].values()) for pair in both if pair[0] and pair[1])
            shares[against] = round(ours / other, DECIMALS)
    return shares
