"""Confusion: whose held-out stills each director's adapter comes nearest.

Belongs here: closeness of each adapter's samples to each director's stills.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from director_diffusion.errors import EvaluationError
from director_diffusion.evaluation.metrics.similarity import DECIMALS, Rows, closeness


@dataclass(frozen=True)
class Confusion:
    """Mean closeness of adapters' samples (rows) to directors' held-out stills (columns)."""

    adapters: tuple[str, ...]
    directors: tuple[str, ...]
    matrix: NDArray[np.float64]  # (adapters, directors)

    @property
    def nearest(self) -> dict[str, str]:
        """Each adapter's nearest director; of equally near ones, its own, else the first."""
        return {adapter: self._nearest(adapter, row) for adapter, row in zip(self.adapters, self.matrix, strict=True)}

    @property
    def mistaken(self) -> tuple[str, ...]:
        """Adapters that come nearer to another director than to their own."""
        return tuple(adapter for adapter, director in self.nearest.items() if adapter != director)

    def _nearest(self, adapter: str, row: NDArray[np.float64]) -> str:
        ranked = sorted(self.directors, key=lambda name: (-row[self.directors.index(name)], name != adapter))
        return ranked[0]


def confusion(
    samples: Mapping[str, Rows], held_out: Mapping[str, Rows], *, base: Mapping[str, Rows] | None = None
) -> Confusion:
    """The matrix of samples (n, d) by adapter's director against held-out stills (m, d) by director.

    With the samples of the `base` for the same prompts, by director too, it is what each adapter adds to its base's
    closeness: a director whose stills are near to everything then attracts no adapter by that alone.  Raises
    EvaluationError where an adapter's own director has no stills here, or nothing to compare with.
    """
    adapters, directors = tuple(samples), tuple(held_out)
    for adapter in adapters:
        if adapter not in held_out or (base is not None and adapter not in base):
            raise EvaluationError(
                f"confusion of {adapter}",
                "there are no held-out stills of its director, or no samples of its base",
                "Evaluate the director first.",
            )

    def row(images: Rows) -> list[float]:
        return [float(closeness(images, held_out[director]).mean()) for director in directors]

    matrix = np.array([row(samples[adapter]) for adapter in adapters])
    if base is not None:
        matrix -= np.array([row(base[adapter]) for adapter in adapters])
    return Confusion(adapters, directors, matrix.round(DECIMALS))
