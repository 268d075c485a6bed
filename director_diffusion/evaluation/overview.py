"""Overview: one adapter of all directors, by what its evaluations say of each.

Belongs here: the confusion matrix of directors by directors, and a row for each; pure functions of told evaluations.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from director_diffusion.evaluation.beside import Beside
from director_diffusion.evaluation.difference import Difference
from director_diffusion.evaluation.types import Outcome, effects_from

FILE = "overview.json"


@dataclass(frozen=True)
class OfDirector:
    """How the adapter does for one director."""

    outcome: Outcome
    style: tuple[float, float, float]  # effect against the base asked by name, and its interval
    prompt: tuple[float, float, float]  # against the base
    beside_style: Difference | None  # the director's own adapter's; None where they are not compared
    beside_prompt: Difference | None
    why_not: str
    nearest: str  # whose held-out stills its pictures are nearest to


@dataclass(frozen=True)
class Overview:
    """How the adapter does for all."""

    directors: Mapping[str, OfDirector]
    confusion: Mapping[str, Mapping[str, float]]
    """Closeness of the pictures under each trigger to the stills of all directors that every evaluation knew."""
    absent: Mapping[str, str]  # directors of whom nothing is said, and why

    @property
    def own(self) -> int:
        """Directors whose pictures are nearest to their own stills."""
        return sum(one.nearest == slug for slug, one in self.directors.items())

    def told(self) -> dict[str, Any]:
        """As plain data."""
        return {**asdict(self), "own": self.own}


def overview_from(data: Mapping[str, Any]) -> Overview:
    """The parsed content of `overview.json`."""
    return Overview(
        directors={slug: _director_from(one) for slug, one in data["directors"].items()},
        confusion=data["confusion"],
        absent=data["absent"],
    )


def _director_from(data: Mapping[str, Any]) -> OfDirector:
    differences = {
        name: None if data[name] is None else Difference(**data[name]) for name in ("beside_style", "beside_prompt")
    }
    return OfDirector(**{**data, **differences, **{name: tuple(data[name]) for name in ("style", "prompt")}})


def overview_of(
    told: Mapping[str, tuple[Mapping[str, Any], Outcome, Beside]], absent: Mapping[str, str] | None = None
) -> Overview:
    """Of each director the parsed `effects.json`, the verdict, and the adapter beside the director's own."""
    rows = {slug: data["confusion"]["adapter"] for slug, (data, _, _) in told.items()}
    columns = sorted(set.intersection(*(set(row) for row in rows.values()))) if rows else []
    return Overview(
        directors={slug: _of_director(data, outcome, beside) for slug, (data, outcome, beside) in told.items()},
        confusion={slug: {name: row[name] for name in columns} for slug, row in rows.items()},
        absent=dict(absent or {}),
    )


def _of_director(data: Mapping[str, Any], outcome: Outcome, beside: Beside) -> OfDirector:
    effects = {(one.metric, one.against): one for one in effects_from(data) if one.part == "all"}
    style, prompt = (effects[key] for key in ((data["style"], "base_in_style"), ("prompt", "base")))
    closeness: Mapping[str, float] = data["confusion"]["adapter"]
    return OfDirector(
        outcome=outcome,
        style=(style.mean, style.low, style.high),
        prompt=(prompt.mean, prompt.low, prompt.high),
        beside_style=beside.difference(beside.style),
        beside_prompt=beside.difference("prompt"),
        why_not=beside.why_not,
        nearest=max(closeness, key=lambda slug: closeness[slug]),
    )


def table_of_overview(overview: Overview) -> str:
    """Markdown: a row per director."""
    lines = [
        "| director | style effect | beside its own adapter | prompt effect | beside its own adapter | nearest to "
        "| verdict |",
        "|---|---|---|---|---|---|---|",
    ]
    for slug, one in overview.directors.items():
        beside = [_difference(found, one.why_not) for found in (one.beside_style, one.beside_prompt)]
        cells = (slug, _interval(one.style), beside[0], _interval(one.prompt), beside[1], one.nearest, one.outcome)
        lines.append(f"| {' | '.join(cells)} |")
    lines += [f"| {slug} | {why} | | | | | |" for slug, why in overview.absent.items()]
    return "\n".join(lines)


def _difference(found: Difference | None, why_not: str) -> str:
    return why_not or "–" if found is None else _interval((found.mean, found.low, found.high))


def _interval(values: tuple[float, float, float]) -> str:
    mean, low, high = values
    return f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]"
