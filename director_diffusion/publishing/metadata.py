"""Metadata of a model card: what the Hub reads from the top of README.md.

Belongs here: the card's facts in huggingface_hub's words (https://huggingface.co/docs/hub/model-cards).
"""

from collections.abc import Mapping, Sequence

from huggingface_hub import EvalResult, ModelCardData

from director_diffusion.evaluation.claims import NAMES as ARM_NAMES
from director_diffusion.evaluation.types import METRIC_NAMES, Effect, Part
from director_diffusion.publishing.inputs import CardInputs
from director_diffusion.publishing.licences import Terms

# "template:sd-lora" makes the Hub show a gallery of the widget's pictures, with the trigger beside it.
TAGS = ("text-to-image", "lora", "template:sd-lora")

PART_NAMES: Mapping[Part, str] = {
    "all": "all",
    "own": "but the novel ones",
    "novel": "beyond what such stills show",
}
"""Of the evaluation's prompts."""


def card_data(card: CardInputs, terms: Terms, picture_files: Sequence[str]) -> ModelCardData:
    """The metadata block; `picture_files` are the pictures' names in the repository, in their order."""
    library = card.base.hub_library
    return ModelCardData(
        base_model=card.base.model_id,
        base_model_relation="adapter",
        library_name=library,
        pipeline_tag="text-to-image",
        license=terms.licence.id,
        license_name=terms.licence.name,
        license_link=terms.licence.link,
        instance_prompt=card.director.trigger,
        tags=[*TAGS, *([library] if library else []), card.base.family],
        widget=[
            {"text": picture.prompt, "output": {"url": file}}
            for picture, file in zip(card.pictures, picture_files, strict=True)
        ],
        model_name=card.repo_id.rsplit("/", 1)[-1],
        eval_results=[_eval_result(card, effect) for effect in judged_effects(card)],
    )


def judged_effects(card: CardInputs) -> tuple[Effect, ...]:
    """The effects that the verdict goes by, on style first; second voices are not among them."""
    judged = (card.evaluation.style, "prompt")
    found = [effect for effect in card.evaluation.effects if effect.metric in judged]
    return tuple(sorted(found, key=lambda effect: judged.index(effect.metric)))


def _eval_result(card: CardInputs, effect: Effect) -> EvalResult:
    """The mean difference; its interval goes with it as arguments."""
    return EvalResult(
        task_type="text-to-image",
        dataset_type=f"director-diffusion-{card.plan.slug}",
        dataset_name=f"{card.plan.slug}: prompts, {PART_NAMES[effect.part]} ({effect.n} by {effect.seeds} seeds)",
        dataset_split=effect.part,
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
