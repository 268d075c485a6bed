"""Text of a model card: what a reader is told, in plain words.

Belongs here: the Markdown below the metadata.  Numbers are the evaluation's own; nothing is rounded into a claim.
"""

from typing import TYPE_CHECKING

from director_diffusion.captions.prompt import join_prompt
from director_diffusion.evaluation.types import METRIC_NAMES, Effect
from director_diffusion.evaluation.verdict import lower_bound
from director_diffusion.publishing.inputs import LOKR_WEIGHTS, WEIGHTS, CardInputs
from director_diffusion.publishing.metadata import ARM_NAMES
from director_diffusion.specs import Adapter, HubSource, Recipe, SingleFileSource
from director_diffusion.training.header import HELD_OUT_LOSS, read_header

if TYPE_CHECKING:
    from director_diffusion.adapters.export import ExportReport

_OUTCOMES = {
    "pass": "**Pass.** Every interval below clears the bound that the evaluation plan set for it beforehand.",
    "fail": "**Fail.** At least one interval below lies wholly on the wrong side of its bound.",
    "undecided": "**Undecided.** At least one interval below reaches across its bound: the effect is too small, or the "
    "prompts were too few, to say.",
}

_KINDS = {"lora": "LoRA", "lokr": "LoKr"}

_INTERVALS = {
    "studentised": "a studentised bootstrap over prompts",
    "student_t": "Student's t over prompts, nearly all of which came out equal",
    "point": "prompts that all came out equal",
}


def card_text(card: CardInputs, grid_file: str, reduced: "ExportReport | None" = None) -> str:
    """The card's Markdown; `grid_file` is the comparison's name in the repository.

    `reduced` tells of the LoRA that stands for a LoKr.
    """
    sections = (
        _summary(card),
        _comparison(card, grid_file),
        _usage(card),
        _verdict(card),
        _training(card, reduced),
        _limits(card),
    )
    return "\n\n".join((*sections, _licence(card))) + "\n"


def _summary(card: CardInputs) -> str:
    counts, kind = card.counts, _KINDS[card.recipe.adapter.kind]
    return f"""# {card.director.name} style for {card.base.name}

A {kind} adapter that turns the pictures of {_base_named(card)} towards a style learned from {counts.train} stills of
{_films(counts.films)}, gathered under the name of {card.director.name}. Put the trigger `{card.director.trigger}` in
front of a prompt to call the style. Neither the director nor any studio had a part in it.

Where the stills come from: {card.director.stills_licence}"""


def _comparison(card: CardInputs, grid_file: str) -> str:
    return f"""## What it does

![Base, base asked by name, and adapter, side by side]({grid_file})

Rows share prompt, seed and initial noise; columns are the base, the base with "in the style of {card.director.name}"
added to the prompt, and this adapter. The first prompts of the evaluation plan are shown, not the best
ones.{_drawn_with(card)}"""


def _drawn_with(card: CardInputs) -> str:
    other = card.base.sampled_with
    if other is None:
        return ""
    return f"""

The adapter was trained on {card.base.name} and is used on {other.name}: the base of these pictures, of the example
and of the evaluation below is the latter."""


def _usage(card: CardInputs) -> str:
    from director_diffusion.families import get_family
    from director_diffusion.families.usage import Example

    base, sampling = card.base.drawn_with, card.plan.sampling
    source = base.source
    pattern = join_prompt("trigger", "what the picture shows")
    width, height = card.pictures[0].image.size
    example = Example(
        base=base.model_id,
        revision=source.revision if isinstance(source, HubSource) else None,
        adapter=card.repo_id,
        weights=WEIGHTS,
        prompt=join_prompt(card.director.trigger, card.plan.prompts[0].text),
        width=width,
        height=height,
        steps=sampling.steps,
        guidance=base.guidance.sample if sampling.guidance is None else sampling.guidance,
        guidance_kind=base.guidance.kind,
        max_tokens=base.max_prompt_tokens,
        dtype=base.dtype,
    )
    layout = " in diffusers' layout" if isinstance(source, SingleFileSource) else ""
    note = (
        ""
        if isinstance(source, HubSource)
        else f"\n`{base.model_id}` is not on the Hub: give the folder that holds this base{layout} in its place.\n"
    )
    return f"""## How to use it

```python
{get_family(base.family).usage(example)}
```
{note}
Prompts read "{pattern}": describe content and leave the style to the trigger."""


def _verdict(card: CardInputs) -> str:
    evaluation, plan = card.evaluation, card.plan
    rows = "\n".join(_row(card, effect) for effect in evaluation.effects)
    reasons = "\n".join(f"- {reason}" for reason in evaluation.verdict.reasons)
    intervals = " and from ".join(
        _INTERVALS[kind] for kind in sorted({effect.interval for effect in evaluation.effects})
    )
    return f"""## Evaluation

{_OUTCOMES[evaluation.verdict.outcome]}

| what | adapter minus | effect | interval | must lie above | prompts × seeds |
|---|---|---|---|---|---|
{rows}

{reasons}

Effects are differences of cosine similarities by `{plan.embedder.model}`, paired by prompt and seed
(seeds: {", ".join(map(str, plan.seeds))}). *Style closeness* compares pictures with {evaluation.held_out} stills that
no weight was trained on; *prompt fidelity* compares them with the prompt's words, trigger left out. Intervals come from
{intervals}: they speak of prompts like these and of these seeds. Scores per image are in `scores.csv`.

The verdict says whether this embedder finds the adapter's pictures closer to the held-out stills than the other arms'
pictures, and no further from their prompts than the margin allows. It does not say that people would prefer them, that
they are free of flaws, or that a still's style is what the embedder sees: such embeddings mix style with content."""


def _row(card: CardInputs, effect: Effect) -> str:
    bound = lower_bound(effect.metric, card.evaluation.margins)
    return (
        f"| {METRIC_NAMES[effect.metric]} | {ARM_NAMES[effect.against]} | {effect.mean:+.4f} "
        f"| {effect.confidence:.0%}: {effect.low:+.4f} to {effect.high:+.4f} | {bound:+.4f} "
        f"| {effect.n} × {card.evaluation.seeds} |"
    )


def _training(card: CardInputs, reduced: "ExportReport | None") -> str:
    counts, recipe = card.counts, card.recipe
    files = counts.stills + counts.rejected
    targets = recipe.adapter.targets.replace("_", " ")
    return f"""## Training

- Data: {counts.stills} stills kept of {files} files, from {_films(counts.films)}; {counts.train} for training and
  {counts.held_out} held out. People wrote {counts.captioned_by_person} captions, a vision-language model
  {counts.captioned_by_model}; {counts.uncaptioned} stills stand under the trigger alone. The stills are not part of
  this repository.
- Adapter: {_adapter(recipe.adapter, reduced)}, on {targets}.
- Optimization: {recipe.optimizer.kind}, learning rate {recipe.optimizer.lr:g} ({recipe.schedule.kind}), {recipe.steps}
  steps of {recipe.batch_size * recipe.gradient_accumulation} stills, seed {recipe.seed}; caption dropout
  {recipe.caption_dropout:g}, moving average {recipe.ema_decay:g}.{_beside(recipe)}
- Weights: {_choice(card)}
- `provenance.json` holds the content hashes of every input, the whole recipe and plan, and package versions."""


def _beside(recipe: Recipe) -> str:
    """What else was learned from."""
    start = f" It began with the adapter of `{recipe.init_from}`." if recipe.init_from else ""
    if recipe.prior is None:
        return start
    prior = recipe.prior
    return (
        f"{start} Beside the stills it was shown {prior.pictures} pictures by the base itself, under captions without "
        f"the trigger (prior preservation, weight {prior.weight:g})."
    )


def _choice(card: CardInputs) -> str:
    header = read_header(card.adapter)
    after = f"the moving average after step {header['step']}"
    if header["chosen_by"] == HELD_OUT_LOSS:
        return f"{after}, chosen by held-out loss."
    why = f' ("{header["chosen_why"]}")' if header["chosen_why"] else ""
    return f"{after}, at strength {header['strength']}, picked by {header['chosen_by']}{why} over the held-out loss's."


def _adapter(spec: Adapter, reduced: "ExportReport | None") -> str:
    if spec.kind == "lokr":
        rows, columns = spec.factor
        trained = f"LoKr (W + A ⊗ B, A of {rows} × {columns}), in `{LOKR_WEIGHTS}` as trained and judged"
        if reduced is None:
            return trained
        return (
            f"{trained}; `{WEIGHTS}` is the nearest LoRA of rank {reduced.rank}, for diffusers, {reduced.error:.1e} of "
            "ΔW's norm away"
        )
    notes = [*(["rank-stabilised"] if spec.rank_stabilised else []), *(["DoRA"] if spec.dora else [])]
    return ", ".join([f"LoRA of rank {spec.rank}", f"alpha {spec.alpha:g}", *notes])


def _limits(card: CardInputs) -> str:
    return f"""## Limits

- The held-out stills come from the same director and went through the same preparation; {_say(card)}.
- {card.evaluation.prompts} prompts and {card.evaluation.seeds} seed(s) are a small sample of what people ask for.
- Subjects, faces and places of the training stills may come through. Do not use it to present a picture as a frame of a
  real film or as the work of {card.director.name}.
- What the base cannot draw, the adapter cannot draw either; the base's biases remain."""


def _say(card: CardInputs) -> str:
    """What held-out stills had to do with the choice."""
    if read_header(card.adapter)["chosen_by"] == HELD_OUT_LOSS:
        chosen = "the checkpoint was chosen on\n  them too"
        return f"{chosen}, so the style effect is measured on stills that had a say in the choice"
    return "a person chose the checkpoint,\n  who could see their loss"


def _licence(card: CardInputs) -> str:
    licence = card.base.licence
    name = licence.name or licence.id
    linked = f"[{name}]({licence.link})" if licence.link else name
    return f"""## Licence

A derivative of {card.base.name}, under that model's licence: {linked}."""


def _base_named(card: CardInputs) -> str:
    on_hub = isinstance(card.base.source, HubSource)
    return f"[{card.base.name}](https://huggingface.co/{card.base.model_id})" if on_hub else card.base.name


def _films(count: int) -> str:
    return "1 film" if count == 1 else f"{count} films"
