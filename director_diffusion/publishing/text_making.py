"""How an adapter was made: data and split, recipe, the choice of the step, the stages with their versions and time.

Belongs here: that section's words.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from director_diffusion.captions.prompt import build_instruction, join_prompt
from director_diffusion.markdown import counted, plain, table
from director_diffusion.publishing.inputs import LOKR_WEIGHTS, WEIGHTS, CardInputs, DataCounts, FoldCounts
from director_diffusion.publishing.sign_offs import SHOWN
from director_diffusion.specs import Adapter, Recipe
from director_diffusion.training.header import FOLDS, HELD_OUT_LOSS, read_header

if TYPE_CHECKING:
    from director_diffusion.adapters.export import ExportReport
    from director_diffusion.publishing.files import Files


def making_section(card: CardInputs, files: "Files", reduced: "ExportReport | None") -> str:
    """Markdown: data, training and settings; of a LoKr also how far the LoRA that stands for it is off (`reduced`)."""
    counts, recipe, training = card.counts, card.recipe, card.training
    targets = recipe.adapter.targets.replace("_", " ")
    template = join_prompt(card.director.trigger, "{caption}")
    return f"""## How it was made

![Loss while training and on stills {_seen(card)}, gradient norm and learning rate]({files.curve})

- Data: {counts.stills} stills kept of {counts.stills + counts.rejected} files, from {counted(counts.films, "film")};
  their content's hash is `{card.versions["stills"][:SHOWN]}`. The stills are not part of this repository.
- Split: {_split(counts, card.folds)}
- Captions: people wrote {counts.captioned_by_person}, a vision-language model {counts.captioned_by_model};
  {counts.uncaptioned} stills stand under the trigger alone. A training prompt reads "{template}"; the model was asked:
  "{plain(build_instruction(card.director.captions))}"
- Adapter: {_adapter(recipe.adapter, reduced)}, on {targets}.
- Optimization: {recipe.optimizer.kind}, learning rate {recipe.optimizer.lr:g} ({recipe.schedule.kind}), {recipe.steps}
  steps of {recipe.batch_size * recipe.gradient_accumulation} stills, seed {recipe.seed}; caption dropout
  {recipe.caption_dropout:g}, moving average {recipe.ema_decay:g}.{_beside(recipe)}
- Weights: {_choice(card)} The loss on stills {_for_what(card)} is {training.held_out_loss:.4f} there; the base's
  is {training.base_held_out_loss:.4f}.

{_stages(card)}

Packages: {", ".join(f"{name} {version}" for name, version in sorted(card.packages.items()))}. `provenance.json` holds
the hash of every still and caption, the whole recipe and plan, seeds, and the versions above in full; `director trace`
reads it."""


def _seen(card: CardInputs) -> str:
    return "that it learned too" if card.folds else "held out from it"


def _for_what(card: CardInputs) -> str:
    return "that it learned too, which tells breakage alone," if card.folds else "held out for that choice"


def _split(counts: DataCounts, folds: Sequence[FoldCounts]) -> str:
    if folds:
        first, second = (f"{fold.train}, without {fold.held_out} for the verdict" for fold in folds)
        return (
            f"all {counts.train} stills are learned, none is held out. Two folds of the same recipe, which are not\n"
            f"  published, chose the step: one learned {first}; the other {second}."
        )
    apart = (
        f"The held-out ones are of {counted(counts.held_out_films, 'film')} of which no still was trained on."
        if counts.held_out_films
        else "All films are trained on too: what is held out are clusters of similar stills."
    )
    return (
        f"{counts.train} stills to learn from; {counts.validation} to choose the training's step by (validation); "
        f"{counts.held_out}\n  for the verdict alone (held out). {apart} Where there are several films, whole ones are "
        "held out;\n  validation and held-out stills may be of one film."
    )


def _stages(card: CardInputs) -> str:
    rows = [
        [f"`{stage.asset}`", f"`{stage.version[:SHOWN]}`", f"`{stage.code_version[:SHOWN]}`", f"{stage.seconds:.1f}"]
        for stage in card.stages
    ]
    total = sum(stage.seconds for stage in card.stages)
    return f"""{table(["stage", "content", "code and settings", "seconds when made"], rows)}

{total:.0f} seconds in all, by the clock of the machine that each stage ran on; what a stage found in a cache cost it
nothing. The store does not record which hardware that was; the deployment that wrote this card computes on
`{card.device}`."""


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
    if header["chosen_by"] == FOLDS:
        return f"{after}: the nearest that was kept to the {header['chosen_why']}, which two folds chose."
    why = f' ("{plain(header["chosen_why"])}")' if header["chosen_why"] else ""
    other = "folds'" if card.folds else "loss's"
    return f"{after}, at strength {header['strength']}, picked by {plain(header['chosen_by'])}{why} over the {other}."


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
