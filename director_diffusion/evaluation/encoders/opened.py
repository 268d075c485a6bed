"""Opened: the encoders that a plan names, each with its cache.

Belongs here: from a plan's specs to caches whose models are loaded only where something is missing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from director_diffusion.evaluation.encoders.cache import EmbeddingCache
from director_diffusion.evaluation.encoders.versions import encoder_fingerprint
from director_diffusion.progress import Progress
from director_diffusion.specs import Captioner, Embedder, EvaluationPlan, Source
from director_diffusion.storage import Store

if TYPE_CHECKING:
    from director_diffusion.evaluation.encoders.aesthetic import AestheticScorer
    from director_diffusion.evaluation.encoders.base import Encoder, TextEncoder
    from director_diffusion.evaluation.encoders.questions import Asked, YesNoReader

Answers = Mapping[tuple[str, str], float]  # by picture's hash and text


class Models(Protocol):
    """Where models come from."""

    def folder(self, source: Source) -> Path: ...

    def fingerprint(self, source: Source) -> str: ...


@dataclass(frozen=True)
class Encoders:
    """What an evaluation sees pictures with."""

    embedder: "EmbeddingCache[TextEncoder]"
    encoder: "EmbeddingCache[Encoder]"
    look: "EmbeddingCache[Encoder]"
    style_projection: "EmbeddingCache[Encoder] | None"
    aesthetic: "EmbeddingCache[Encoder] | None"
    aesthetic_head: "Callable[[], AestheticScorer] | None"
    ask: "Callable[[Sequence[Asked]], Answers] | None"


def open_encoders(
    plan: EvaluationPlan,
    models: Models,
    store: Store,
    *,
    captioner: Captioner,
    asked_at_once: int,
    fresh: str = "",
    device: str,
    progress: Progress,
) -> Encoders:
    """The plan's encoders; nothing is loaded yet.  Under a `fresh` label everything is embedded anew.

    `captioner` answers questions, `asked_at_once` in a batch, where the plan asks any.
    """

    def clip(spec: Embedder) -> "EmbeddingCache[TextEncoder]":
        def load() -> "TextEncoder":
            from director_diffusion.evaluation.encoders.embedder import ClipEmbedder

            return ClipEmbedder(models.folder(spec.source), spec, device=device)

        print_of = encoder_fingerprint("clip", source=models.fingerprint(spec.source), model=spec.model)
        return EmbeddingCache(store, print_of, load, fresh=fresh)

    def encoder() -> "Encoder":
        from director_diffusion.evaluation.encoders.image_encoder import TimmEncoder

        return TimmEncoder(models.folder(plan.encoder.source), plan.encoder, device=device)

    def look() -> "Encoder":
        from director_diffusion.evaluation.encoders.look import LookEncoder

        return LookEncoder()

    timm = encoder_fingerprint("timm", source=models.fingerprint(plan.encoder.source), model=plan.encoder.model)
    head = plan.aesthetic
    return Encoders(
        embedder=clip(plan.embedder),
        encoder=EmbeddingCache(store, timm, encoder, fresh=fresh),
        look=EmbeddingCache(store, encoder_fingerprint("look"), look, fresh=fresh),
        style_projection=_style_projection(plan, models, store, fresh=fresh, device=device),
        aesthetic=clip(head.embedder) if head is not None else None,
        aesthetic_head=partial(_aesthetic_head, plan, models) if head is not None else None,
        ask=partial(_ask, captioner, models, store, asked_at_once, fresh, device, progress) if plan.questions else None,
    )


def _style_projection(
    plan: EvaluationPlan, models: Models, store: Store, *, fresh: str, device: str
) -> "EmbeddingCache[Encoder] | None":
    spec = plan.style_projection
    if spec is None:
        return None

    def load() -> "Encoder":
        from director_diffusion.evaluation.encoders.style_projection import CsdEncoder

        return CsdEncoder(models.folder(spec.source), spec, device=device)

    print_of = encoder_fingerprint("csd", source=models.fingerprint(spec.source), weights=spec.weights)
    return EmbeddingCache(store, print_of, load, fresh=fresh)


def _aesthetic_head(plan: EvaluationPlan, models: Models) -> "AestheticScorer":
    from director_diffusion.evaluation.encoders.aesthetic import AestheticScorer

    assert plan.aesthetic is not None, "asked for only where the plan has a head"
    return AestheticScorer(models.folder(plan.aesthetic.source), plan.aesthetic)


def _ask(
    captioner: Captioner,
    models: Models,
    store: Store,
    at_once: int,
    fresh: str,
    device: str,
    progress: Progress,
    asked: "Sequence[Asked]",
) -> Answers:
    from director_diffusion.evaluation.encoders.questions import YesNoReader, cached_answers

    def load() -> "YesNoReader":
        from director_diffusion.captions.qwen import QwenCaptioner

        folder = models.folder(captioner.source)
        return YesNoReader(QwenCaptioner(folder, captioner, device), str(folder))

    print_of = encoder_fingerprint(
        "yes_no",
        source=models.fingerprint(captioner.source),
        dtype=captioner.dtype,
        max_pixels=captioner.max_pixels,
    )
    return cached_answers(
        store, print_of, load, asked, batch_size=at_once, fresh=fresh, title="Asking of samples", progress=progress
    )
