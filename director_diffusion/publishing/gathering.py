"""Gathering: a model card's inputs out of what stages made.

Belongs here: which file of which artifact each of them comes from.  What they are, and how tables become them, is
`inputs`'; whether the artifacts belong together, the stage's.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from director_diffusion.captions.rows import FILE as CAPTIONS_FILE
from director_diffusion.captions.rows import Caption
from director_diffusion.evaluation.types import Evaluation
from director_diffusion.publishing.inputs import (
    CardInputs,
    as_learned,
    count_data,
    fold_counts,
    grids_of,
    hashes_of,
    pictures_of,
    repo_id_of,
    training_of,
)
from director_diffusion.publishing.making import stages_behind
from director_diffusion.publishing.sign_offs import FILE as SIGN_OFF_FILE
from director_diffusion.publishing.sign_offs import decode_sign_offs, sign_off_for
from director_diffusion.sampling.rows import FILE as SAMPLES_FILE
from director_diffusion.sampling.rows import Sample
from director_diffusion.specs import Base, Director, EvaluationPlan, Recipe
from director_diffusion.stills.rows import STILLS_FILE, Still
from director_diffusion.storage import Artifact
from director_diffusion.training.header import check_trigger, read_header
from director_diffusion.training.rows import WEIGHTS, adapter_version

if TYPE_CHECKING:
    from director_diffusion.publishing.students import Students


@dataclass(frozen=True)
class Asked:
    """What the card is of, as people decided it."""

    namespace: str  # of the hub
    director: Director
    base: Base
    recipe: Recipe
    plan: EvaluationPlan  # of all directors


@dataclass(frozen=True)
class Made:
    """What stages made of it."""

    adapter: Artifact
    samples: Artifact
    evaluation: Artifact
    stills: Artifact
    captions: Artifact
    sign_off: Artifact
    folds: Sequence[Artifact]  # fold adapters; none where stills were held out of the adapter itself
    students: "Students | None"


@dataclass(frozen=True)
class Models:
    """With what: the deployment's device, and hashes of the content of models."""

    device: str
    base: str
    drawn_with: str


def gather(asked: Asked, made: Made, models: Models, versions: Mapping[str, str]) -> CardInputs:
    """All that a card tells; `versions` are those of the stage's inputs, by asset.

    Raises EvaluationError where the adapter learned another trigger than the director has now.
    """
    weights, store = made.adapter.path(WEIGHTS), made.adapter.store
    check_trigger(weights, asked.director)
    drawn = made.samples.table(SAMPLES_FILE, Sample)
    rows, texts = made.stills.table(STILLS_FILE, Still), made.captions.table(CAPTIONS_FILE, Caption)
    learned = as_learned(rows, made.adapter)
    signed_off = decode_sign_offs(made.sign_off.read(SIGN_OFF_FILE).decode(), SIGN_OFF_FILE)
    return CardInputs(
        repo_id=repo_id_of(asked.namespace, asked.director, asked.recipe),
        director=asked.director,
        base=asked.base,
        recipe=asked.recipe,
        plan=asked.plan.asked_of(asked.director),
        adapter=weights,
        evaluation=Evaluation.read(made.evaluation.local_folder),
        sign_off=sign_off_for(signed_off, adapter_version(made.adapter.manifest)),
        counts=count_data(learned, texts),
        stills=hashes_of(learned, texts),
        students=made.students,
        folds=tuple(fold_counts(as_learned(rows, fold)) for fold in made.folds),
        training=training_of(made.adapter),
        grids=grids_of(drawn, store),
        pictures=pictures_of(drawn, store),
        stages=stages_behind([made.evaluation, made.samples, made.adapter, made.captions, made.stills]),
        device=models.device,
        base_fingerprint=models.base,
        drawn_with_fingerprint=models.drawn_with,
        versions=versions,
        packages=json.loads(read_header(weights)["packages"]),
    )
