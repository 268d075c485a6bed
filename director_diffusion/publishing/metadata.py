"""Metadata of a model card: what the Hub reads from the top of README.md.

Belongs here: the card's facts in huggingface_hub's words (https://huggingface.co/docs/hub/model-cards).
"""

from collections.abc import Sequence

from huggingface_hub import EvalResult, ModelCardData

from director_diffusion.evaluation.types import METRIC_NAMES
from director_diffusion.publishing.inputs import CardInputs

# "template:sd-lora" makes the Hub show a gallery of the widget's pictures, with the trigger beside it.
TAGS = ("text-to-image", "lora", "diffusers", "template:sd-lora")
ARM_NAMES = {"base": "the base", "base_in_style": 'the base + "in the style of"'}


def card_data(card: CardInputs, picture_files: Sequence[str]) -> ModelCardData:
    """The metadata block; `picture_files` are the pictures' names in the repository, in their order."""
    licence = card.base.licence
    return ModelCardData(
        base_model=card.base.model_id,
        base_model_relation="adapter",
        library_name="diffusers",
        pipeline_tag="text-to-image",
        license=licence.id,
        license_name=licence.name,
        license_link=licence.link,
        instance_prompt=card.director.trigger,
        tags=[*TAGS, card.base.family],
        widget=[
            {"text": picture.prompt, "output": {"url": file}}
            for picture, file in zip(card.pictures, picture_files, strict=True)
        ],
        model_name=card.repo_id.rsplit("/", 1)[-1],
        eval_results=_eval_results(card),
    )


def _eval_results(card: CardInputs) -> list[EvalResult]:
    """One result per effect: the value is the mean difference, its interval goes with it as arguments."""
    return [
        EvalResult(
            task_type="text-to-image",
            dataset_type=f"director-diffusion-{card.plan.slug}",
            dataset_name=f"{card.plan.slug} (prompts × seeds: {len(card.plan.prompts)} × {len(card.plan.seeds)})",
            metric_type=f"{effect.metric}_effect_against_{effect.against}",
            metric_name=f"{METRIC_NAMES[effect.metric]}, adapter minus {ARM_NAMES[effect.against]}",
            metric_value=round(effect.mean, 6),
            metric_args={
                "low": round(effect.low, 6),
                "high": round(effect.high, 6),
                "confidence": effect.confidence,
                "prompts": effect.n,
            },
        )
        for effect in card.evaluation.effects
    ]
