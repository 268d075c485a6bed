"""Counted: what `standings.json` says, read back."""

from collections.abc import Mapping
from typing import Any

from director_diffusion.voting.pairs import Side
from director_diffusion.voting.standings import Contest
from director_diffusion.voting.statistics.rate import Rate


def contests_from(data: Mapping[str, Any]) -> tuple[Contest, ...]:
    """The contests in the parsed content of `standings.json`."""
    return tuple(
        Contest(
            **{
                **one,
                "side": Side(**one["side"]),
                "against": Side(**one["against"]),
                "rate": None if one["rate"] is None else Rate(**one["rate"]),
            }
        )
        for one in data["contests"]
    )
