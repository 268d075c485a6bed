"""Evaluations: which pictures judge an adapter, and what the verdict asks."""

from math import ceil, log
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from director_diffusion.spec_base import PositiveInt, Seed, Share, Slug, Spec, Text
from director_diffusion.specs.bases import ModelSource
from director_diffusion.specs.directors import Director
from director_diffusion.specs.encoders import AestheticHead, Embedder, ImageEncoder, StyleProjection
from director_diffusion.specs.prompts import Prompt
from director_diffusion.specs.turbo import StepCount

Tier = Literal["draft", "release"]
"""How thoroughly an adapter is judged: after every training, or before it is published."""

SHOWN = 10
"""Claims that a verdict corrects for at most: style and prompt (against both bases, and the version before), style of
what two folds stand for, copies and diversity."""

TIERS: tuple[Tier, ...] = ("draft", "release")


class Sampling(Spec):
    """How the arms are drawn."""

    steps: Annotated[int, Field(ge=1, le=200)] = 28
    guidance: Annotated[float, Field(ge=0, le=30)] | None = Field(None, description="None takes the base's own.")
    aspect: Annotated[float, Field(gt=0.2, lt=5)] = 1.85
    batch_size: PositiveInt = 1


class Margins(Spec):
    """What counts as enough and as too much."""

    style: Share = Field(
        0.1,
        description="Superiority: the style effect's interval must lie above this share of the way from the other "
        "arm's closeness to that of the director's own stills (the lower quartile of the training stills').",
    )
    prompt: Annotated[float, Field(ge=0, le=1)] = Field(
        0.02, description="Non-inferiority: prompt effect's interval must lie above minus this, in cosine."
    )
    memorised: Annotated[float, Field(ge=1e-6, lt=1)] = Field(
        0.1,
        description="Limit of the share of prompts with a picture that is nearer to a training still than 99 % of "
        "training stills are to each other, beside the one in a hundred that this lets through: with 0.1 it takes 36 "
        "prompts or more.",
    )
    diversity: Share = Field(
        0.8, description="Limit: mean distance between pictures must lie above this share of the base's."
    )
    few_steps: Share = Field(  # no hash of the adapter's own evaluation is to know of it
        0.2,
        exclude=True,
        description="Non-inferiority of a few-step student: the share of the adapter's style effect that may go.",
    )
    few_steps_in: dict[StepCount, Share] = Field(
        {},
        exclude=True,
        description="The same share by the steps that a student draws in, where it is another than `few_steps`.",
    )
    regression: Share = Field(
        0.25, description="Non-inferiority to the version published before: the share of its style effect that may go."
    )

    def few_steps_of(self, count: StepCount) -> float:
        """The share of the adapter's style effect that may go in so many steps."""
        return self.few_steps_in.get(count, self.few_steps)


class Previews(Spec):
    """Pictures that are drawn while an adapter is trained, to be looked at; nothing is scored."""

    prompts: tuple[Text, ...] = Field(min_length=1, max_length=8, description="Without a trigger.")
    seeds: tuple[Seed, ...] = Field((0,), min_length=1, max_length=4)
    steps: Annotated[int, Field(ge=1, le=100)] = 12
    guidance: Annotated[float, Field(ge=0, le=30)] | None = Field(None, description="None takes the base's own.")
    side: Annotated[int, Field(ge=16, le=4096)] | None = Field(
        None, description="Pixel budget side × side; None takes the base's own."
    )
    strengths: tuple[Annotated[float, Field(gt=0, le=2)], ...] = Field(
        (0.5, 0.75, 1.0, 1.25), min_length=1, description="Columns of the grid at the end; its rows are checkpoints."
    )


class EvaluationPlan(Spec):
    """Which pictures are drawn to judge an adapter, what is measured of them, and what the verdict asks."""

    slug: Slug
    prompts: tuple[Prompt, ...] = Field(min_length=4)
    seeds: tuple[Seed, ...] = Field((0,), min_length=1, description="Of the draft, which follows every training.")
    release_seeds: tuple[Seed, ...] = Field(
        (), description="Further seeds of the release, which must pass before an adapter is published."
    )
    folds: Literal[1, 2] = Field(
        1,
        description="1: the adapter never sees the held-out film. 2, for sets of 15 to 50 stills: two adapters are "
        "trained and judged, each without another film, and the one that is published learns all stills.",
    )
    sampling: Sampling = Sampling()
    previews: Previews | None = Field(None, description="None: nothing is drawn while an adapter is trained.")
    embedder: Embedder
    encoder: ImageEncoder
    style_projection: StyleProjection | None = None
    aesthetic: AestheticHead | None = Field(None, description="Reported as a secondary taste; never judged.")
    questions: bool = Field(
        False, description="Ask the captioner of each picture whether it shows its prompt: a second voice on fidelity."
    )
    style_by: Literal["embedder", "encoder", "style_projection"] = Field(
        "encoder", description="Whose closeness to held-out stills the verdict calls style."
    )
    memorised_by: Literal["embedder", "encoder"] = Field("encoder", description="Whose nearest stills are looked at.")
    margins: Margins = Margins()
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    resamples: Annotated[int, Field(ge=200, le=100_000)] = Field(4000, description="Bootstrap resamples.")
    bootstrap_seed: Seed = 0

    @model_validator(mode="after")
    def _distinct(self) -> "EvaluationPlan":
        texts = [prompt.text for prompt in self.prompts]
        if len(set(texts)) < len(texts):
            raise ValueError("two prompts are the same")
        seeds = self.seeds_of("release")
        if len(set(seeds)) < len(seeds):
            raise ValueError("two of seeds and release_seeds are the same")
        if self.style_by == "style_projection" and self.style_projection is None:
            raise ValueError("style_by: there is no style_projection")
        return self

    @model_validator(mode="after")
    def _can_pass(self) -> "EvaluationPlan":
        """A plan by which nothing could ever be shown would withhold every adapter, whatever it draws."""
        alpha, limit = (1 - self.confidence) / 2, self.margins.memorised
        least = ceil(log(alpha) / log(1 - limit))  # prompts, none of them too near: (1 − limit)^n ≤ α
        if len(self.prompts) < least:
            raise ValueError(
                f"{len(self.prompts)} prompts, not one of them too near a training still, do not show that less than "
                f"{limit:g} are (margins.memorised): ask {least} or more, or raise the margin"
            )
        if self.resamples + 1 < SHOWN / alpha:
            raise ValueError(
                f"resamples: of {self.resamples}, no p-value is small enough for {SHOWN} claims at this confidence; "
                f"give {ceil(SHOWN / alpha)} or more"
            )
        return self

    def seeds_of(self, tier: Tier) -> tuple[int, ...]:
        """The release draws the draft's seeds too, which are drawn already."""
        return self.seeds if tier == "draft" else self.seeds + self.release_seeds

    def asked_of(self, director: Director) -> "EvaluationPlan":
        """The plan with the director's own prompts, where there are some, in place of all but the novel ones."""
        if not director.prompts:
            return self
        novel = tuple(prompt for prompt in self.prompts if prompt.novel)
        return EvaluationPlan.model_validate({**dict(self), "prompts": (*director.prompts, *novel)})

    def judging(self, tier: Tier = "release") -> dict[str, Any]:
        """The part that decides a tier's scores and verdict: neither the previews nor what the plan is called."""
        beside = {"previews", "slug"}
        return self.model_dump(mode="json", exclude=beside if tier == "release" else {*beside, "release_seeds"})

    def sources(self, captioner: ModelSource) -> dict[str, ModelSource]:
        """Where all that looks at pictures comes from, by what it is; `captioner` is asked questions."""
        found = {"embedder": self.embedder.source, "encoder": self.encoder.source}
        if self.style_projection is not None:
            found["style projection"] = self.style_projection.source
        if self.aesthetic is not None:
            found |= {"aesthetic embedder": self.aesthetic.embedder.source, "aesthetic head": self.aesthetic.source}
        if self.questions:
            found["captioner"] = captioner
        return found
