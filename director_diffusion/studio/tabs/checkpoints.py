"""The tab Checkpoints: a training's steps in pictures and losses; people pick one."""

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from director_diffusion.errors import OrderError
from director_diffusion.studio import checkpoints_shown
from director_diffusion.studio.checkpoints_shown import MOST_WHO, MOST_WHY, SHEETS, training_on_show
from director_diffusion.studio.studio import Studio
from director_diffusion.studio.tabs import parts
from director_diffusion.studio.visitors import user_of

if TYPE_CHECKING:
    from director_diffusion.training.picking import Seen

TITLE = "Checkpoints"
_INTRODUCTION = (
    "Each step of a training at which it kept its weights. The held-out loss chooses one; you may pick another, at "
    "another strength. The pick takes effect with the next run, which trains nothing anew."
)
_HEADERS = ["step", "held-out loss", ""]


@dataclass(frozen=True)
class _Shown:
    """What a visitor was shown, who picks."""

    recipe: str
    director: str
    seen: "Seen"


def lay_out(studio: Studio) -> None:
    """Losses and pictures by step, and a pick."""
    gr.Markdown(_INTRODUCTION)
    shown = gr.State()
    with gr.Row():
        recipe = gr.Dropdown(list(studio.recipes), value=next(iter(studio.recipes), None), label="Recipe")
        director = gr.Dropdown([(one.name, slug) for slug, one in studio.directors.items()], label="Director")
        show = gr.Button("Show", variant="primary")
    said = gr.HTML()
    with gr.Row():
        steps = gr.Dataframe(headers=_HEADERS, type="array", interactive=False, max_height=300, buttons=[])
        curve = gr.Image(interactive=False, label="Curve", buttons=["fullscreen"], elem_classes="drawn")
    sheets = gr.HTML()
    with gr.Row():
        step = gr.Dropdown([], label="Step", type="value")
        strength = gr.Slider(0.05, 2, 1, step=0.05, label="Strength")
        who = gr.Textbox(label="Who", max_length=MOST_WHO)
        why = gr.Textbox(label="Why", max_length=MOST_WHY)
    with gr.Row():
        pick = gr.Button("Pick this step", variant="primary")
        clear = gr.Button("Clear the pick")

    def show_training(recipe: Any, director: Any) -> tuple[Any, ...]:
        training = training_on_show(studio, recipe, director)
        offer = training.offer
        chosen = offer.pick.step if offer.pick is not None and offer.pick.step in offer.steps else offer.steps[-1]
        pictures = "".join(
            f'<figure><figcaption>{name}</figcaption><img alt="{name}" src="{studio.shelf.put_jpeg(sheet)}"></figure>'
            for name in SHEETS
            if (sheet := training.sheets.get(name)) is not None
        )
        return (
            _Shown(training.recipe, training.director, offer.seen),
            f"<p>{html.escape(training.title)}. {html.escape(training.said)}</p>",
            parts.rows(_HEADERS, training.rows),
            parts.picture(studio.shelf.put(training.curve())),
            pictures,
            gr.update(choices=[(str(step), step) for step in offer.steps], value=chosen),
        )

    def do_pick(
        shown: _Shown | None,
        recipe: Any,
        director: Any,
        step: Any,
        strength: Any,
        who: Any,
        why: Any,
        request: gr.Request,
    ) -> tuple[Any, ...]:
        one = _one(shown, recipe, director)
        name = user_of(request) or who
        checkpoints_shown.pick(
            studio, one.recipe, one.director, one.seen, step=step, strength=strength, who=name, why=why
        )
        return show_training(one.recipe, one.director)

    def do_clear(shown: _Shown | None, recipe: Any, director: Any) -> tuple[Any, ...]:
        one = _one(shown, recipe, director)
        checkpoints_shown.clear(studio, one.recipe, one.director, one.seen)
        return show_training(one.recipe, one.director)

    seen = [shown, said, steps, curve, sheets, step]
    shows = [show.click, director.input, recipe.input]
    gr.on(shows, show_training, [recipe, director], seen, api_name="checkpoints", **parts.SHOW, show_progress_on=said)
    picked = [shown, recipe, director, step, strength, who, why]
    pick.click(do_pick, picked, seen, api_name="pick", **parts.RAW, show_progress_on=said)
    clear.click(do_clear, [shown, recipe, director], seen, api_name="clear_pick", **parts.RAW, show_progress_on=said)


def _one(shown: _Shown | None, recipe: object, director: object) -> _Shown:
    """What is on show, where it is of what is chosen: it stays on show when that has no training."""
    if shown is None:
        raise OrderError("training", "is not on show", "Choose a recipe and a director.")
    if (shown.recipe, shown.director) != (recipe, director):
        raise OrderError("training", "on show is not of the recipe and director chosen", "Show theirs first.")
    return shown
