"""How to use an adapter: with diffusers, and in ComfyUI where that knows the base.

Belongs here: the example and its settings.  Python is each family's own.
"""

from typing import TYPE_CHECKING

from director_diffusion.captions.prompt import join_prompt
from director_diffusion.publishing.inputs import WEIGHTS, CardInputs
from director_diffusion.publishing.workflow import FILES, why_not
from director_diffusion.specs import Base, HubSource, SingleFileSource

if TYPE_CHECKING:
    from director_diffusion.publishing.files import Files


def use_section(card: CardInputs, files: "Files") -> str:
    """Markdown: prompts, and code for diffusers and ComfyUI that draws with this very file."""
    pattern = join_prompt("trigger", "what the picture shows")
    return f"""## How to use it

Prompts read "{pattern}": describe content and leave the style to the trigger.

```python
{_python(card)}
```
{_note(card.base.drawn_with)}
{_comfyui(card, files.comfyui)}"""


def _python(card: CardInputs) -> str:
    from director_diffusion.families import get_family
    from director_diffusion.families.usage import Example

    base, sampling = card.base.drawn_with, card.plan.sampling
    width, height = card.pictures[0].image.size
    example = Example(
        base=base.model_id,
        revision=base.source.revision if isinstance(base.source, HubSource) else None,
        adapter=card.repo_id,
        weights=WEIGHTS,
        prompt=join_prompt(card.director.trigger, card.plan.prompts[0].text),
        width=width,
        height=height,
        steps=sampling.steps,
        guidance=_guidance(card),
        guidance_kind=base.guidance.kind,
        max_tokens=base.max_prompt_tokens,
        dtype=base.dtype,
    )
    return get_family(base.family).usage(example)


def _guidance(card: CardInputs) -> float:
    asked = card.plan.sampling.guidance
    return card.base.drawn_with.guidance.sample if asked is None else asked


def _note(base: Base) -> str:
    if isinstance(base.source, HubSource):
        return ""
    layout = " in diffusers' layout" if isinstance(base.source, SingleFileSource) else ""
    return f"\n`{base.model_id}` is not on the Hub: give the folder that holds this base{layout} in its place.\n"


def _comfyui(card: CardInputs, file: str) -> str:
    base = card.base.drawn_with
    lacking = why_not(base)
    if lacking:
        return f"**ComfyUI** cannot draw with this adapter: {lacking}."
    if not file:
        return (
            "**ComfyUI** does not read the file above as it is (it tells DoRA's magnitudes in other terms). Whoever "
            f"trained it writes one that it reads with `director export {card.director.slug} --recipe "
            f"{card.recipe.slug} --layout comfyui --out FILE`."
        )
    known = FILES.get(base.model_id)
    loaded = f" as ComfyUI keeps it (`{known}`)" if known else ""
    kind = "a Flux guidance" if base.guidance.kind == "embedded" else "a cfg"
    return f"""**ComfyUI**: put `{file}` into `models/loras`, load {base.name}{loaded}, and add the node
*LoraLoaderModelOnly* behind it, strength 1.0 as evaluated; less of it gives less of the style. Begin the prompt with
`{card.director.trigger}`. The evaluation drew in {card.plan.sampling.steps} steps with the sampler *euler* and
{kind} of {_guidance(card):g}."""
