"""Inputs of a model card: all that it tells, gathered before anything is written.

Belongs here: plain typed data and how it is drawn from the stages' tables.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from director_diffusion.captions.rows import Caption
from director_diffusion.evaluation.types import Evaluation
from director_diffusion.sampling.images import open_sample
from director_diffusion.sampling.rows import Sample
from director_diffusion.specs import Base, Director, EvaluationPlan, Recipe
from director_diffusion.stills.rows import Still
from director_diffusion.storage import Store
from director_diffusion.training.rows import WEIGHTS as WEIGHTS

LOKR_WEIGHTS = "lokr.safetensors"  # a LoKr as it was trained


@dataclass(frozen=True)
class DataCounts:
    """How much the adapter was made of.  Films are counted, never named."""

    films: int
    stills: int  # kept
    train: int
    held_out: int
    rejected: int
    captioned_by_person: int
    captioned_by_model: int
    uncaptioned: int  # trained on the trigger alone


@dataclass(frozen=True)
class Picture:
    """An image that the adapter drew, for people to see."""

    image: Image.Image
    prompt: str  # the full prompt, trigger included
    seed: int


@dataclass(frozen=True)
class CardInputs:
    """What a model card is written from."""

    repo_id: str
    director: Director
    base: Base
    recipe: Recipe
    plan: EvaluationPlan
    adapter: Path  # the safetensors file, as diffusers loads it
    evaluation: Evaluation
    counts: DataCounts
    grid: Image.Image  # the arms side by side
    pictures: tuple[Picture, ...]
    base_fingerprint: str  # hash of the base's content
    drawn_with_fingerprint: str  # of what the pictures were drawn with: the base, or its `sampled_with`
    versions: Mapping[str, str]  # of the inputs, by asset; `stills` is the hash of the data
    packages: Mapping[str, str]


def count_data(stills: Sequence[Still], captions: Sequence[Caption]) -> DataCounts:
    """Counts over all rows of the stills' table, rejected ones too, and all captions."""
    kept = [still for still in stills if still.status == "kept"]
    splits, sources = Counter(still.split for still in kept), Counter(caption.source for caption in captions)
    return DataCounts(
        films=len({still.film for still in kept}),
        stills=len(kept),
        train=splits["train"],
        held_out=splits["held_out"],
        rejected=len(stills) - len(kept),
        captioned_by_person=sources["person"],
        captioned_by_model=sources["model"],
        uncaptioned=sources["none"],
    )


def pictures_of(samples: Iterable[Sample], store: Store, limit: int = 6) -> tuple[Picture, ...]:
    """The adapter's first picture of each of the first `limit` prompts: chosen by place, not by looks."""
    first: dict[int, Sample] = {}
    for sample in samples:
        if sample.arm == "adapter":
            first.setdefault(sample.prompt_index, sample)
    chosen = [first[index] for index in sorted(first)[:limit]]
    return tuple(Picture(open_sample(store, sample), sample.full_prompt, sample.seed) for sample in chosen)


def repo_id_of(namespace: str, director: Director, recipe: Recipe) -> str:
    """The repository of a director's adapter by one recipe."""
    return f"{namespace}/{director.slug}-{recipe.slug}"
