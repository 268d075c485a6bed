"""What a card says of its verdict: in short, in full, and what it does not say.

Belongs here: words for outcomes and findings.  The numbers behind them are `text_evaluation`'s.
"""

from director_diffusion.evaluation.told import NEARER
from director_diffusion.evaluation.types import Effect, Evaluation, Outcome
from director_diffusion.markdown import counted, plain
from director_diffusion.publishing.inputs import CardInputs
from director_diffusion.specs import Embedder, EvaluationPlan, ImageEncoder, StyleProjection

_OUTCOMES: dict[Outcome, str] = {
    "pass": "**Pass.** Every question below is answered in the adapter's favour, by the margins that the evaluation "
    "plan set beforehand.",
    "fail": "**Fail.** At least one question below is answered against the adapter.",
    "undecided": "**Undecided.** Nothing below speaks against the adapter for certain, but at least one question is "
    "open: the effect is too small, or prompts and stills were too few, to say.",
}


def in_short(card: CardInputs) -> str:
    """The summary's list: style, prompts, copies and the verdict, in plain words."""
    evaluation = card.evaluation
    return "\n".join(
        f"- **{title}**: {words}"
        for title, words in (
            ("Style", _style(card)),
            ("Prompts", _prompts(evaluation)),
            ("Copies", _copies(evaluation)),
            ("Verdict", f"{evaluation.verdict.outcome}, over {_judged(evaluation)}; what that means stands below."),
        )
    )


def verdict_section(card: CardInputs) -> str:
    """Markdown: the verdict, a reason for each question, notes, and what a verdict says and does not say."""
    evaluation, plan = card.evaluation, card.plan
    reasons = "\n".join(f"- {_reason(reason)}" for reason in evaluation.verdict.reasons)
    notes = "".join(f"\n- {plain(note)}" for note in evaluation.notes)
    notes = f"\n\nTo be kept in mind:\n{notes}" if notes else ""
    rivals = (
        ", and whether they are nearer to this director than to the others of the project"
        if any(finding.name.startswith(NEARER) for finding in evaluation.findings)
        else ""
    )
    return f"""## Verdict

{_OUTCOMES[evaluation.verdict.outcome]} It is of the {evaluation.tier} tier: {_judged(evaluation)}.

{reasons}{notes}

{_which_stills(card)}

**What it says.** It asks whether {encoder_named(plan)} finds {_whose_pictures(card)}, than
the base's pictures for the same prompts and noise; whether the adapter's keep to their prompts within a margin; whether
they are no copies of training stills; whether they are hardly less unlike each other than the base's{rivals}. Only a
yes to all is a pass; p-values are corrected for their number (Holm), at {(1 - plan.confidence) / 2:.3g} on either side.

**What it does not say.** That people would prefer these pictures, that they are free of flaws, or that a director's
style is what the encoder sees. Such encoders mix style with content and framing, which is why arms are compared on
equal prompts only."""


def _which_stills(card: CardInputs) -> str:
    """By which stills style was measured, who never saw them, and how far that speaks of others."""
    counts = card.counts
    if card.folds:
        first, second = (_away(fold.held_out, fold.held_out_films) for fold in card.folds)
        words = f"""The published adapter learned all {counts.train} stills, so that none are left to measure its own
style by. Two other adapters of the same recipe stand in for it, each measured by closeness to stills that it never saw:
the first by {first}; the second by {second}. The
published one itself was judged by fidelity to prompts, by copies, by diversity, and by its closeness to stills that it
has learned, which can speak against it but not for it."""
    else:
        away = _away(counts.held_out, counts.held_out_films)
        words = f"The adapter's style is measured by {away}; no training step saw these."
    return f"**By which stills.** {words}{_power(card.evaluation)}"


def _away(stills: int, films: int) -> str:
    if films:
        return f"{counted(stills, 'still')} of {counted(films, 'film')} of which it learned nothing"
    return f"{counted(stills, 'still')} in clusters of similar ones, of films that it learned otherwise"


def _power(evaluation: Evaluation) -> str:
    effect = evaluation.effect(evaluation.style, "base_in_style")
    if effect.detectable_over_stills is None:
        return ""
    return f"""
Beside the base asked for the style by name, an effect of {effect.detectable:.3f} would be found over these stills, and
one of {effect.detectable_over_stills:.3f} over other stills of the director too, each in four of five trials."""


def _whose_pictures(card: CardInputs) -> str:
    if card.folds:
        return "two adapters' pictures closer to stills of this director that each of them never saw"
    return "the adapter's pictures closer to stills of this director,\nwhich nothing was trained on or chosen by"


def encoder_named(plan: EvaluationPlan) -> str:
    """Whose closeness the verdict calls style, by its model's name."""
    encoders: dict[str, Embedder | ImageEncoder | StyleProjection | None] = {
        "embedder": plan.embedder,
        "encoder": plan.encoder,
        "style_projection": plan.style_projection,
    }
    found = encoders[plan.style_by]
    return f"the {_KINDS[plan.style_by]}{f' `{model}`' if (model := getattr(found, 'model', '')) else ''}"


_KINDS = {"embedder": "embedder", "encoder": "image encoder", "style_projection": "style projection"}


def _reason(reason: str) -> str:
    outcome, colon, words = reason.partition(": ")
    return f"**{outcome}**{colon}{plain(words)}"


def _judged(evaluation: Evaluation) -> str:
    seeds = len(evaluation.seeds)
    return f"{evaluation.prompts} prompts, each from {seeds} seed(s), against {evaluation.held_out} held-out stills"


def _style(card: CardInputs) -> str:
    evaluation = card.evaluation
    effect = evaluation.effect(evaluation.style, "base_in_style")
    way = _share_of_the_way(evaluation, effect)
    held_out = (
        "that were held out from two adapters of this recipe, which stand in for this one,"
        if card.folds
        else "that were held out from training"
    )
    return (
        f"closeness to stills of the director {held_out} {_moved(effect)} beside the base that was asked for the style "
        f"by name{way}."
    )


def _share_of_the_way(evaluation: Evaluation, effect: Effect) -> str:
    """How much of the distance from the base to the director's own stills it covers; the claim's bound is a share."""
    bound = next((one.bound for one in evaluation.findings if one.name == "style_base_in_style"), 0.0)
    if bound <= 0 or evaluation.margins.style <= 0:
        return ""
    way = bound / evaluation.margins.style
    return f", where the director's own training stills lie {way:.3f} further: {effect.mean / way:.0%} of that way"


def _prompts(evaluation: Evaluation) -> str:
    effect = evaluation.effect("prompt", "base")
    return (
        f"fidelity to the prompt {_moved(effect)} beside the base; at most {evaluation.margins.prompt:g} may be lost."
    )


def _moved(effect: Effect) -> str:
    change = "rises" if effect.low > 0 else "falls" if effect.high < 0 else "changes by no certain amount"
    return f"{change} ({effect.mean:+.3f}, {effect.confidence:.0%} interval {effect.low:+.3f} to {effect.high:+.3f})"


def _copies(evaluation: Evaluation) -> str:
    memory, pictures = evaluation.memorisation, evaluation.prompts * len(evaluation.seeds)
    return (
        f"{round(memory.share * pictures)} of {pictures} pictures come nearer to a training still than 99 % of "
        "training stills come to each other."
    )
