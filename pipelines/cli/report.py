"""The table at the end of a run: what each director has now, read from the artifacts."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from director_diffusion.captions.rows import FILE as CAPTIONS_FILE
from director_diffusion.captions.rows import Caption
from director_diffusion.errors import StoreError
from director_diffusion.evaluation.types import EFFECTS_FILE, VERDICT_FILE
from director_diffusion.stills.rows import STILLS_FILE, Still
from director_diffusion.storage import Artifact, Store
from director_diffusion.storage.artifact import latest_artifact
from director_diffusion.training.rows import RESULT_FILE
from pipelines.surroundings import Surroundings


@dataclass(frozen=True)
class Row:
    """One director and recipe; None where a stage has not been made."""

    director: str
    recipe: str
    stills_kept: int | None
    stills_rejected: int | None
    captions: int | None
    steps: int | None
    style_effect: float | None
    style_interval: tuple[float, float] | None
    prompt_effect: float | None
    prompt_interval: tuple[float, float] | None
    verdict: str | None
    model_card: str | None
    reused: int
    seconds: float
    errors: tuple[str, ...]


def summarize(
    surroundings: Surroundings, slug: str, recipe: str, *, reused: int, seconds: float, errors: tuple[str, ...]
) -> Row:
    """Read a row from what is materialized now.  `reused` counts the stages that did no work."""
    store = surroundings.store()
    stills = _latest(store, slug, "stills")
    captions = _latest(store, slug, "captions")
    adapter = _latest(store, slug, recipe, "adapter")
    evaluation = _latest(store, slug, recipe, "release_evaluation") or _latest(store, slug, recipe, "evaluation")
    card = _latest(store, slug, recipe, "model_card")
    rows = stills.table(STILLS_FILE, Still) if stills else None
    told: dict[str, Any] = evaluation.json(EFFECTS_FILE) if evaluation else {"effects": [], "style": ""}
    effects = {(one["metric"], one["against"]): one for one in told["effects"] if one["part"] == "all"}
    style, prompt = effects.get((told["style"], "base_in_style")), effects.get(("prompt", "base"))
    return Row(
        director=slug,
        recipe=recipe,
        stills_kept=None if rows is None else sum(row.status == "kept" for row in rows),
        stills_rejected=None if rows is None else sum(row.status == "rejected" for row in rows),
        captions=sum(row.status == "ok" for row in captions.table(CAPTIONS_FILE, Caption)) if captions else None,
        steps=adapter.json(RESULT_FILE)["trained_steps"] if adapter else None,
        style_effect=style["mean"] if style else None,
        style_interval=(style["low"], style["high"]) if style else None,
        prompt_effect=prompt["mean"] if prompt else None,
        prompt_interval=(prompt["low"], prompt["high"]) if prompt else None,
        verdict=evaluation.json(VERDICT_FILE)["outcome"] if evaluation else None,
        model_card=store.full(f"{card.folder}/repo/README.md") if card else None,
        reused=reused,
        seconds=seconds,
        errors=errors,
    )


def rows_as_json(rows: Sequence[Row]) -> str:
    return json.dumps([asdict(row) for row in rows], indent=2)


def print_table(rows: Sequence[Row]) -> None:
    """The rows on stdout, and where to look next."""
    console = Console(width=None if Console().is_terminal else 160)
    table = Table(title="What each director has now")
    for heading in ("director", "recipe", "stills kept/rejected", "captions", "steps"):
        table.add_column(heading)
    for heading in ("style effect [95 %]", "prompt effect [95 %]", "verdict", "reused", "seconds"):
        table.add_column(heading)
    for row in rows:
        table.add_row(
            row.director,
            row.recipe,
            "–" if row.stills_kept is None else f"{row.stills_kept}/{row.stills_rejected}",
            _shown(row.captions),
            _shown(row.steps),
            _effect(row.style_effect, row.style_interval),
            _effect(row.prompt_effect, row.prompt_interval),
            row.verdict or "–",
            str(row.reused),
            f"{row.seconds:.1f}",
        )
    console.print(table)
    for row in rows:
        if row.model_card:
            console.print(f"{row.director}: {row.model_card}", highlight=False, soft_wrap=True)
    console.print("Open the UI with: make dev")


def _latest(store: Store, slug: str, *asset: str) -> Artifact | None:
    try:
        return latest_artifact(store, asset, slug)
    except StoreError:
        return None  # not made yet: an empty cell


def _shown(value: int | None) -> str:
    return "–" if value is None else str(value)


def _effect(mean: float | None, interval: tuple[float, float] | None) -> str:
    return "–" if mean is None or interval is None else f"{mean:+.3f} [{interval[0]:+.3f}, {interval[1]:+.3f}]"
