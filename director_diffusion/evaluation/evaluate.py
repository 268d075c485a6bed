"""Evaluate: from samples to scores, effects and a verdict.

Belongs here: the stage's function, which joins embedder, scores and verdict.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from director_diffusion.errors import EvaluationError
from director_diffusion.evaluation.embedder import ClipEmbedder, EmbeddingCache
from director_diffusion.evaluation.scores import paired_effects, prompt_fidelity, style_closeness
from director_diffusion.evaluation.types import Evaluation, Score
from director_diffusion.evaluation.verdict import decide
from director_diffusion.hashing import hash_data
from director_diffusion.progress import Progress
from director_diffusion.sampling.images import open_sample
from director_diffusion.sampling.rows import Sample
from director_diffusion.specs import Director, EvaluationPlan
from director_diffusion.stills.still_set import StillSet
from director_diffusion.storage import Store


def evaluate(
    samples: Sequence[Sample],
    still_set: StillSet,
    plan: EvaluationPlan,
    director: Director,
    embedder_folder: Path,
    *,
    embedder_fingerprint: str,
    store: Store,
    fresh: str = "",
    device: str,
    out: Path,
    progress: Progress,
) -> Evaluation:
    """Score `samples` against their prompts and the held-out stills; write the evaluation's files into `out`.

    Vectors are cached by image and embedder, so that only new images are embedded; under a `fresh` label everything is
    embedded anew.  Raises EvaluationError where the director has no held-out stills or the samples are not the plan's.
    """
    held_out = still_set.held_out
    if not held_out:
        raise EvaluationError(
            f"evaluation of {director.slug}",
            "there are no held-out stills to measure style against",
            "Raise stills.held_out_share in the director's file, or add stills of another film.",
        )
    _check_plan(samples, plan, director)
    load = partial(ClipEmbedder, embedder_folder, plan.embedder, device=device)
    fingerprint = hash_data({"model": plan.embedder.model, "source": embedder_fingerprint})
    vectors = EmbeddingCache(store, fingerprint, load, fresh=fresh)
    images = vectors.images(
        {sample.sha256: partial(open_sample, store, sample) for sample in samples},
        title="Embedding samples",
        progress=progress,
    )
    opened: dict[str, Callable[[], Image.Image]] = {still.still: partial(still_set.open, still) for still in held_out}
    stills = vectors.images(opened, title="Embedding held-out stills", progress=progress)
    texts = vectors.texts([prompt.text for prompt in plan.prompts], title="Embedding prompts", progress=progress)

    drawn = np.stack([images[sample.sha256] for sample in samples])
    fidelity = prompt_fidelity(drawn, np.stack([texts[sample.prompt] for sample in samples]))
    closeness = style_closeness(drawn, np.stack([stills[still.still] for still in held_out]))
    scores = tuple(
        Score(sample.arm, sample.prompt_index, sample.seed, float(prompt), float(style), sample.item)
        for sample, prompt, style in zip(samples, fidelity, closeness, strict=True)
    )
    effects = paired_effects(scores, plan)
    evaluation = Evaluation(
        scores=scores,
        effects=effects,
        verdict=decide(effects, plan.margins),
        margins=plan.margins,
        prompts=len(plan.prompts),
        seeds=len(plan.seeds),
        held_out=len(held_out),
    )
    evaluation.write(out)
    return evaluation


def _check_plan(samples: Sequence[Sample], plan: EvaluationPlan, director: Director) -> None:
    asked = {(index, prompt.text, seed) for index, prompt in enumerate(plan.prompts) for seed in plan.seeds}
    drawn = {(sample.prompt_index, sample.prompt, sample.seed) for sample in samples}
    if asked != drawn:
        raise EvaluationError(
            f"samples of {director.slug}", f"are not those of plan {plan.slug!r}", "Draw the plan's samples first."
        )
