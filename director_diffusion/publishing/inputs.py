"""Inputs of a model card: all that it tells, gathered before anything is written.

Belongs here: plain typed data and how it is drawn from the stages' tables.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from director_diffusion.captions.rows import Caption
from director_diffusion.evaluation.types import Evaluation
from director_diffusion.hashing import hash_bytes
from director_diffusion.publishing.making import StageMade
from director_diffusion.publishing.sign_offs import SignOff
from director_diffusion.sampling.grids import comparison_grid
from director_diffusion.sampling.images import open_sample
from director_diffusion.sampling.rows import Sample
from director_diffusion.specs import Base, Director, EvaluationPlan, Recipe
from director_diffusion.stills.learned import learned_of
from director_diffusion.stills.rows import Split, Still
from director_diffusion.storage import Artifact, Store
from director_diffusion.training.rows import CURVE_FILE, RESULT_FILE, CurvePoint
from director_diffusion.training.rows import WEIGHTS as WEIGHTS

if TYPE_CHECKING:
    from director_diffusion.publishing.students import Students

LOKR_WEIGHTS = "lokr.safetensors"  # a LoKr as it was trained
ROWS = 6  # prompts of a grid


@dataclass(frozen=True)
class DataCounts:
    """How much the adapter was made of.  Films are counted, never named."""

    films: int
    stills: int  # kept
    train: int
    validation: int
    held_out: int
    held_out_films: int  # of held-out stills, that no still was trained on
    rejected: int
    captioned_by_person: int
    captioned_by_model: int
    uncaptioned: int  # trained on the trigger alone


@dataclass(frozen=True)
class FoldCounts:
    """How much one of two folds learned, and by how much its style was judged."""

    train: int
    held_out: int
    held_out_films: int  # of which no still was trained on


@dataclass(frozen=True)
class StillHash:
    """A still by hashes, which name nothing but tell whoever has it that it was used."""

    sha256: str  # of the file that people brought
    still: str  # its id in the store
    split: Split
    caption: str  # SHA-256 of its caption; "" where it has none


@dataclass(frozen=True)
class Picture:
    """An image that the adapter drew, for people to see."""

    image: Image.Image
    prompt: str  # the full prompt, trigger included
    seed: int


@dataclass(frozen=True)
class Grid:
    """The arms side by side."""

    image: Image.Image
    prompts: tuple[str, ...]  # of its rows
    novel: bool  # whether they are beyond what such stills show


@dataclass(frozen=True)
class Training:
    """What a training tells of its course."""

    step: int  # the chosen one
    by: str  # who chose it
    held_out_loss: float  # there; where the adapter learned all stills, of those that were watched
    base_held_out_loss: float  # at step 0
    curve: tuple[CurvePoint, ...]


@dataclass(frozen=True)
class CardInputs:
    """What a model card is written from."""

    repo_id: str
    director: Director
    base: Base
    recipe: Recipe
    plan: EvaluationPlan
    adapter: Path  # the safetensors file, as it was trained
    evaluation: Evaluation
    sign_off: SignOff | None  # for this adapter version
    counts: DataCounts
    stills: tuple[StillHash, ...]  # the kept ones
    training: Training
    grids: tuple[Grid, ...]
    pictures: tuple[Picture, ...]
    stages: tuple[StageMade, ...]
    device: str  # of the deployment that the card is made in
    base_fingerprint: str  # hash of the base's content
    drawn_with_fingerprint: str  # of what the pictures were drawn with: the base, or its `sampled_with`
    versions: Mapping[str, str]  # of the inputs, by asset; `stills` is the hash of the data
    packages: Mapping[str, str]
    folds: tuple[
        FoldCounts, ...
    ] = ()  # that style was judged by; none where stills were held out of the adapter itself
    students: "Students | None" = None  # None: the recipe asks for none


def as_learned(stills: Iterable[Still], adapter: Artifact) -> list[Still]:
    """The rows of the stills' table with the split that an adapter was trained by."""
    learned = learned_of(adapter)
    return [
        replace(still, split=learned.get(still.still, "held_out")) if still.status == "kept" else still
        for still in stills
    ]


def fold_counts(stills: Sequence[Still]) -> FoldCounts:
    """Of a fold's own rows."""
    counts = count_data(stills, ())
    return FoldCounts(counts.train, counts.held_out, counts.held_out_films)


def count_data(stills: Sequence[Still], captions: Sequence[Caption]) -> DataCounts:
    """Counts over all rows of the stills' table, rejected ones too, and all captions."""
    kept = [still for still in stills if still.status == "kept"]
    splits, sources = Counter(still.split for still in kept), Counter(caption.source for caption in captions)
    films = {split: {still.film for still in kept if still.split == split} for split in ("train", "held_out")}
    return DataCounts(
        films=len({still.film for still in kept}),
        stills=len(kept),
        train=splits["train"],
        validation=splits["validation"],
        held_out=splits["held_out"],
        held_out_films=len(films["held_out"] - films["train"]),
        rejected=len(stills) - len(kept),
        captioned_by_person=sources["person"],
        captioned_by_model=sources["model"],
        uncaptioned=sources["none"],
    )


def hashes_of(stills: Iterable[Still], captions: Iterable[Caption]) -> tuple[StillHash, ...]:
    """The kept stills, sorted by hash, so that their order tells nothing of films."""
    texts = {caption.still: caption.text for caption in captions}
    found = [
        StillHash(still.sha256, still.still, still.split, hash_bytes(text.encode()) if text else "")
        for still in stills
        if still.status == "kept"
        for text in (texts.get(still.still, ""),)
    ]
    return tuple(sorted(found, key=lambda still: (still.sha256, still.still)))


def training_of(adapter: Artifact) -> Training:
    """From an adapter's artifact."""
    result = adapter.json(RESULT_FILE)
    return Training(
        step=result["chosen_step"],
        by=result["chosen_by"],
        held_out_loss=result["held_out_loss"],
        base_held_out_loss=result["base_held_out_loss"],
        curve=tuple(adapter.table(CURVE_FILE, CurvePoint)),
    )


def grids_of(samples: Sequence[Sample], store: Store) -> tuple[Grid, ...]:
    """The arms side by side for the first prompts of the director's own subjects, and for the first novel ones."""
    grids = []
    for novel in (False, True):
        part = [sample for sample in samples if sample.novel == novel]
        prompts = {sample.prompt_index: sample.prompt for sample in part}
        if prompts:
            rows = tuple(prompts[index] for index in sorted(prompts)[:ROWS])
            grids.append(Grid(comparison_grid(part, store, limit=ROWS), rows, novel))
    return tuple(grids)


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
