"""Seen: pictures and stills as vectors, and the grids of scores that metrics make of them.

Belongs here: which pictures each encoder is shown, and which metric takes which vectors.  A new metric is a line in
`picture_grids` or `closeness_grids`: it grades old samples from the cache, without a picture being drawn or opened.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from director_diffusion.evaluation.effects import Grid
from director_diffusion.evaluation.encoders.cache import EmbeddingCache
from director_diffusion.evaluation.encoders.opened import Encoders
from director_diffusion.evaluation.encoders.questions import Asked
from director_diffusion.evaluation.metrics import look
from director_diffusion.evaluation.metrics.similarity import closeness, prompt_fidelity
from director_diffusion.evaluation.types import Metric
from director_diffusion.progress import Progress
from director_diffusion.sampling.images import open_sample
from director_diffusion.sampling.rows import Sample
from director_diffusion.stills.rows import Still
from director_diffusion.stills.still_set import StillSet
from director_diffusion.storage import Store

Rows = NDArray[np.float32]
Vectors = Mapping[str, NDArray[np.float32]]  # by a picture's hash, or a still's id
Opens = Callable[[], Image.Image]


@dataclass(frozen=True)
class Seen:
    """Vectors of pictures by hash and of stills by id, by encoder; absent ones are not in the plan."""

    embedder: Vectors
    encoder: Vectors
    look: Vectors
    style_projection: Vectors | None
    texts: Vectors
    taste: Mapping[str, float] | None
    answers: Mapping[tuple[str, str], float] | None


def see(
    samples: Sequence[Sample],
    stills: Sequence[Still],
    still_set: StillSet,
    encoders: Encoders,
    store: Store,
    progress: Progress,
) -> Seen:
    """Everything that metrics need of these pictures and stills."""
    pictures: dict[str, Opens] = {sample.sha256: partial(open_sample, store, sample) for sample in samples}
    opened = pictures | {still.still: partial(still_set.open, still) for still in stills}

    def vectors(cache: EmbeddingCache, what: Mapping[str, Opens], title: str) -> Vectors:
        return cache.images(what, title=title, progress=progress)

    texts = list(dict.fromkeys(sample.prompt for sample in samples))
    return Seen(
        embedder=vectors(encoders.embedder, opened, "Embedding pictures"),
        encoder=vectors(encoders.encoder, opened, "Encoding pictures"),
        look=vectors(encoders.look, opened, "Measuring pictures"),
        style_projection=(
            None
            if encoders.style_projection is None
            else vectors(encoders.style_projection, opened, "Projecting pictures on style")
        ),
        texts=encoders.embedder.texts(texts, title="Embedding prompts", progress=progress),
        taste=_taste(encoders, pictures, progress),
        answers=None if encoders.ask is None else encoders.ask(_questions(samples, pictures)),
    )


def _taste(encoders: Encoders, pictures: Mapping[str, Opens], progress: Progress) -> Mapping[str, float] | None:
    if encoders.aesthetic is None or encoders.aesthetic_head is None:
        return None
    vectors = encoders.aesthetic.images(pictures, title="Embedding for taste", progress=progress)
    scores = encoders.aesthetic_head().scores(np.stack(list(vectors.values())))
    return dict(zip(vectors, scores.tolist(), strict=True))


def _questions(samples: Sequence[Sample], pictures: Mapping[str, Opens]) -> list[Asked]:
    return [Asked(sample.sha256, sample.prompt, pictures[sample.sha256]) for sample in samples]


@dataclass(frozen=True)
class Arm:
    """One arm's samples by prompt and seed, in the plan's order."""

    samples: tuple[tuple[Sample, ...], ...]  # (prompts, seeds)

    @property
    def flat(self) -> list[Sample]:
        return [sample for row in self.samples for sample in row]

    def rows(self, vectors: Vectors) -> Rows:
        """Vectors (prompts × seeds, d)."""
        return np.stack([vectors[sample.sha256] for sample in self.flat])

    def cube(self, vectors: Vectors) -> Rows:
        """Vectors (prompts, seeds, d)."""
        return self.rows(vectors).reshape(len(self.samples), len(self.samples[0]), -1)

    def grid(self, values: Sequence[float] | NDArray[np.float64]) -> Grid:
        """Values of `flat` by prompt and seed."""
        return np.asarray(values, dtype=np.float64).reshape(len(self.samples), len(self.samples[0]))


def stills_of(vectors: Vectors, stills: Sequence[Still]) -> Rows:
    """Vectors (stills, d)."""
    return np.stack([vectors[still.still] for still in stills])


Score = Callable[[Arm], Sequence[float] | NDArray[np.float64]]


def picture_grids(arms: Mapping[str, Arm], seen: Seen) -> dict[Metric, dict[str, Grid]]:
    """Scores by arm, (prompts, seeds), of the metrics that take no stills."""
    metrics: dict[Metric, Score] = {
        "prompt": lambda arm: prompt_fidelity(
            arm.rows(seen.embedder), np.stack([seen.texts[sample.prompt] for sample in arm.flat])
        )
    }
    if (taste := seen.taste) is not None:
        metrics["aesthetic"] = lambda arm: [taste[sample.sha256] for sample in arm.flat]
    if (answers := seen.answers) is not None:
        metrics["question"] = lambda arm: [answers[sample.sha256, sample.prompt] for sample in arm.flat]
    return _grids(metrics, arms)


def closeness_grids(arms: Mapping[str, Arm], seen: Seen, held_out: Sequence[Still]) -> dict[Metric, dict[str, Grid]]:
    """Scores by arm, (prompts, seeds), of the metrics of closeness to stills, and of distance from them."""
    looks = stills_of(seen.look, held_out)
    metrics: dict[Metric, Score] = {
        "clip": lambda arm: closeness(arm.rows(seen.embedder), stills_of(seen.embedder, held_out)),
        "encoder": lambda arm: closeness(arm.rows(seen.encoder), stills_of(seen.encoder, held_out)),
        "colour": lambda arm: look.colour_distance(arm.rows(seen.look), looks),
        "luma": lambda arm: look.luma_distance(arm.rows(seen.look), looks),
        "contrast": lambda arm: look.contrast_distance(arm.rows(seen.look), looks),
        "framing": lambda arm: look.framing_distance(arm.rows(seen.look), looks),
    }
    if (projections := seen.style_projection) is not None:
        metrics["projection"] = lambda arm: closeness(arm.rows(projections), stills_of(projections, held_out))
    return _grids(metrics, arms)


def _grids(metrics: Mapping[Metric, Score], arms: Mapping[str, Arm]) -> dict[Metric, dict[str, Grid]]:
    return {name: {of: arm.grid(metric(arm)) for of, arm in arms.items()} for name, metric in metrics.items()}
