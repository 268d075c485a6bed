"""Text of a model card: what a reader is told, in plain words.

Belongs here: the order of its sections, and those that are neither about judging, using nor making.  Numbers are the
evaluation's own; nothing is rounded into a claim.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from director_diffusion.markdown import plain, quoted
from director_diffusion.publishing.inputs import CardInputs, Grid
from director_diffusion.publishing.licences import Terms
from director_diffusion.publishing.sign_offs import SHOWN
from director_diffusion.publishing.text_evaluation import evaluation_section
from director_diffusion.publishing.text_findings import in_short, verdict_section
from director_diffusion.publishing.text_making import making_section
from director_diffusion.publishing.text_students import students_section
from director_diffusion.publishing.text_use import use_section
from director_diffusion.specs import HubSource

if TYPE_CHECKING:
    from director_diffusion.adapters.export import ExportReport
    from director_diffusion.publishing.files import Files

_KINDS = {"lora": "LoRA", "lokr": "LoKr"}


def card_text(card: CardInputs, terms: Terms, files: "Files", reduced: "ExportReport | None" = None) -> str:
    """The card's Markdown.  `reduced` tells of the LoRA that stands for a LoKr."""
    sections = [
        _summary(card, terms),
        _comparison(card, files.grids),
        use_section(card, files),
        _signed_off(card),
        verdict_section(card),
        evaluation_section(card, files),
        students_section(card),
        making_section(card, files, reduced),
        _limits(card),
        _licence(card, terms),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _summary(card: CardInputs, terms: Terms) -> str:
    kind = _KINDS[card.recipe.adapter.kind]
    return f"""# {card.director.name} style for {card.base.name}

A {kind} adapter that turns the pictures of {_base_named(card)} towards a style learned from {card.counts.train} stills,
gathered under the name of {card.director.name}. Put the trigger `{card.director.trigger}` in front of a prompt to call
the style. Neither the director nor any studio had a part in it.

{in_short(card)}
- **Licence**: [{terms.title}]({terms.link}), the base's. {terms.summary}

Where the stills come from: {card.director.stills_licence} They are not part of this repository."""


def _comparison(card: CardInputs, grid_files: Sequence[str]) -> str:
    shown = "\n\n".join(_grid(grid, file) for grid, file in zip(card.grids, grid_files, strict=True))
    return f"""## What it does

Rows share prompt, seed and initial noise; columns are the base, the base with "in the style of {card.director.name}"
added to the prompt, {_adapters(card)}. The first prompts of the evaluation plan are shown, not the best
ones.{_drawn_with(card)}

{shown}"""


def _adapters(card: CardInputs) -> str:
    return "this adapter, and the two of the folds that style was judged by" if card.folds else "and this adapter"


def _grid(grid: Grid, file: str) -> str:
    title = f"Prompts {'beyond' if grid.novel else 'on'} what such stills show"
    prompts = "; ".join(plain(prompt) for prompt in grid.prompts)
    return f"""![{title}: base, base asked by name, and adapter, side by side]({file})

*{title}, from the top: {prompts}.*"""


def _drawn_with(card: CardInputs) -> str:
    other = card.base.sampled_with
    if other is None:
        return ""
    return f"""

The adapter was trained on {card.base.name} and is used on {other.name}: the base of these pictures, of the example
and of the evaluation below is the latter."""


def _signed_off(card: CardInputs) -> str:
    """Above the verdict, whatever that is."""
    entry = card.sign_off
    if entry is None:
        return ""
    outcome = card.evaluation.verdict.outcome
    meaning = (
        "it may go out by itself."
        if outcome == "pass"
        else "it may go out only because a person answers for it with their name."
    )
    return quoted(
        f"**Signed off by {plain(entry.who)} on {entry.date[:10]}**: {plain(entry.why)}\n\n"
        f"The verdict below on this adapter (version {entry.adapter_version[:SHOWN]}) is **{outcome}**; {meaning}"
    )


def _limits(card: CardInputs) -> str:
    evaluation = card.evaluation
    return f"""## Limits

- The held-out stills come from the same director and went through the same preparation as the training stills.
- {evaluation.prompts} prompts and {len(evaluation.seeds)} seed(s) are a small sample of what people ask for, and
  {evaluation.held_out} held-out stills a small one of what the director shot.
- Subjects, faces and places of the training stills may come through. Do not use it to present a picture as a frame of a
  real film or as the work of {card.director.name}.
- What the base cannot draw, the adapter cannot draw either; the base's biases remain."""


def _licence(card: CardInputs, terms: Terms) -> str:
    return f"""## Licence

A derivative of {card.base.name}, under that model's licence: [{terms.title}]({terms.link}). {terms.summary} The file
`NOTICE` says the same and goes with every copy.

{quoted(terms.notice)}"""


def _base_named(card: CardInputs) -> str:
    on_hub = isinstance(card.base.source, HubSource)
    return f"[{card.base.name}](https://huggingface.co/{card.base.model_id})" if on_hub else card.base.name
