"""Evaluations: which pictures judge an adapter, and what the verdict asks."""

from typing import Annotated, Any

from pydantic import Field, model_validator

from director_diffusion.spec_base import PositiveInt, Slug, Spec, Text
from director_diffusion.specs.bases import ModelSource


class Prompt(Spec):
    """One evaluation prompt, without a trigger."""

    text: Text
    subject: Text


class Embedder(Spec):
    """An open_clip model that scores images: its architecture's name and its weights."""

    model: Text = Field(
        description="open_clip's architecture name; for a folder, the folder's open_clip_config.json rules."
    )
    source: ModelSource


class Sampling(Spec):
    """How the arms are drawn."""

    steps: Annotated[int, Field(ge=1, le=200)] = 28
    guidance: Annotated[float, Field(ge=0, le=30)] | None = Field(None, description="None takes the base's own.")
    aspect: Annotated[float, Field(gt=0.2, lt=5)] = 1.85
    batch_size: PositiveInt = 1


class Margins(Spec):
    """What counts as enough and as too much, on the embedder's cosine scale."""

    style: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="Superiority: style effect's interval must lie above this, against both other arms."
    )
    prompt: Annotated[float, Field(ge=0, le=1)] = Field(
        0.02, description="Non-inferiority: prompt effect's interval must lie above minus this."
    )


class Previews(Spec):
    """Pictures that are drawn while an adapter is trained, to be looked at; nothing is scored."""

    prompts: tuple[Text, ...] = Field(min_length=1, max_length=8, description="Without a trigger.")
    seeds: tuple[int, ...] = Field((0,), min_length=1, max_length=4)
    steps: Annotated[int, Field(ge=1, le=100)] = 12
    guidance: Annotated[float, Field(ge=0, le=30)] | None = Field(None, description="None takes the base's own.")
    side: Annotated[int, Field(ge=16, le=4096)] | None = Field(
        None, description="Pixel budget side × side; None takes the base's own."
    )
    strengths: tuple[Annotated[float, Field(gt=0, le=2)], ...] = Field(
        (0.5, 0.75, 1.0, 1.25), min_length=1, description="Columns of the grid at the end; its rows are checkpoints."
    )


class EvaluationPlan(Spec):
    """Which pictures are drawn to judge an adapter, and what the verdict asks."""

    slug: Slug
    prompts: tuple[Prompt, ...] = Field(min_length=4)
    seeds: tuple[int, ...] = Field((0,), min_length=1)
    sampling: Sampling = Sampling()
    previews: Previews | None = Field(None, description="None: nothing is drawn while an adapter is trained.")
    embedder: Embedder
    margins: Margins = Margins()
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    resamples: Annotated[int, Field(ge=200, le=100_000)] = Field(4000, description="Bootstrap resamples.")
    bootstrap_seed: int = 0

    @model_validator(mode="after")
    def _distinct(self) -> "EvaluationPlan":
        texts = [prompt.text for prompt in self.prompts]
        if len(set(texts)) < len(texts):
            raise ValueError("two prompts are the same")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("two seeds are the same")
        return self

    def judging(self) -> dict[str, Any]:
        """The part that decides samples, scores and the verdict: all but the previews."""
        return self.model_dump(mode="json", exclude={"previews"})
