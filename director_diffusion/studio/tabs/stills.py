"""The tab Stills: what became of a director's files and why; people keep, reject and crop."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from director_diffusion.errors import OrderError
from director_diffusion.stills.deciding import ShownStill
from director_diffusion.studio import stills_shown
from director_diffusion.studio.orders import checked_whole
from director_diffusion.studio.paging import page_of
from director_diffusion.studio.stills_shown import CHOICES, PAGE, Stills, checked_crop, stills_on_show
from director_diffusion.studio.studio import Studio
from director_diffusion.studio.tabs import parts
from director_diffusion.studio.visitors import user_of

TITLE = "Stills"
_INTRODUCTION = (
    "What became of a director's files at the last run. A decision is a file beside the still; it takes effect with "
    "the next run, and the split of all other stills stays as it is. ● waits for a run."
)


@dataclass(frozen=True)
class _Page:
    """What a visitor sees: kept by the server, so a browser names a still only by its place on the page."""

    director: str
    places: tuple[tuple[str, str], ...]  # film and file


_Selected = tuple[str, ShownStill]
"""Whose still a visitor decides on, as it was shown."""


def lay_out(studio: Studio) -> None:
    """Stills by page, one of them large, and what may be decided about it."""
    stills = Stills(studio)
    gr.Markdown(_INTRODUCTION)
    page, selected = gr.State(), gr.State()
    with gr.Row():
        director = gr.Dropdown([(one.name, slug) for slug, one in studio.directors.items()], label="Director")
        choice = gr.Dropdown(list(CHOICES), value=CHOICES[0], label="Show")
        number = gr.Number(1, precision=0, minimum=1, label="Page")
        show = gr.Button("Show", variant="primary")
    counted = gr.Markdown()
    gallery = gr.Gallery(
        label="Stills",
        columns=6,
        height="auto",
        object_fit="contain",
        allow_preview=False,
        interactive=False,
        buttons=[],
    )
    with gr.Row():
        with gr.Column(scale=3):
            large = gr.Image(interactive=False, show_label=False, buttons=[], elem_classes="drawn")
        with gr.Column(scale=2):
            details = gr.HTML()
            reason = gr.Textbox(label="Reason", max_length=300, info="A rejection needs one, in words.")
            with gr.Row():
                keep = gr.Button("Keep")
                reject = gr.Button("Reject", variant="stop")
                undo = gr.Button("Undo the decision")
            with gr.Row():
                edges = [
                    gr.Slider(0, 100, value, step=0.1, label=f"{name}, %")
                    for name, value in (("Left", 0), ("Top", 0), ("Right", 100), ("Bottom", 100))
                ]
            crop = gr.Button("Crop")

    def show_page(director: Any, choice: Any, number: Any) -> tuple[Any, ...]:
        on_show = stills_on_show(studio, director)
        shown, words = page_of(stills_shown.chosen(on_show, choice), number, PAGE, "stills")
        pictures = [parts.labelled(stills.thumb(director, one), stills_shown.label(one)) for one in shown]
        places = tuple((one.still.film, one.still.name) for one in shown)
        return _Page(director, places), None, pictures, words

    def select(page: _Page | None, event: gr.SelectData) -> tuple[Any, ...]:
        if page is None or not page.places:
            raise OrderError("stills", "are not on show", "Choose a director and show them.")
        place = checked_whole("still", event.index, 0, len(page.places) - 1)
        return _selected(page.director, page.places[place])

    def _selected(director: str, place: tuple[str, str]) -> tuple[Any, ...]:
        on_show = stills_on_show(studio, director)
        shown = next((one for one in on_show if (one.still.film, one.still.name) == place), None)
        if shown is None:
            raise OrderError("this still", "is no longer there", "Show the stills again.")
        picture, edges = stills.large(director, shown)
        reason = shown.decision.reason if shown.decision is not None else ""
        told = stills_shown.told(shown)
        return (director, shown), parts.picture(picture), told, reason, *(100 * edge for edge in edges)

    def frame(selected: _Selected | None, *edges: Any) -> object:
        director, shown = _one(selected)
        return parts.picture(stills.large(director, shown, checked_crop(edges))[0])

    def deciding(decide: Callable[[str, ShownStill, Any, str | None, Sequence[Any]], None]) -> Callable[..., Any]:
        """The handler of a button: decide on what is selected, and show it as it is then."""

        def handler(request: gr.Request, selected: _Selected | None, reason: Any, *edges: Any) -> tuple[Any, ...]:
            director, shown = _one(selected)
            decide(director, shown, reason, user_of(request), edges)
            return _selected(director, (shown.still.film, shown.still.name))

        return handler

    one = [selected, large, details, reason, *edges]
    shows = [show.click, choice.input, director.input]
    gr.on(
        shows,
        show_page,
        [director, choice, number],
        [page, selected, gallery, counted],
        api_name="stills",
        **parts.SHOW,
    )
    gallery.select(select, [page], one, api_name="still", **parts.SHOW, show_progress_on=details)
    gr.on(
        [edge.release for edge in edges],
        frame,
        [selected, *edges],
        large,
        api_name="frame",
        **parts.RAW,
        show_progress_on=details,
    )
    for button, name, decide in (
        (keep, "keep", lambda director, shown, reason, who, _: stills.keep(director, shown, reason, who)),
        (reject, "reject", lambda director, shown, reason, who, _: stills.reject(director, shown, reason, who)),
        (
            crop,
            "crop",
            lambda director, shown, reason, who, edges: stills.crop(director, shown, checked_crop(edges), reason, who),
        ),
        (undo, "undo_decision", lambda director, shown, *_: stills.take_back(director, shown)),
    ):
        handler, sent = deciding(decide), [selected, reason, *edges]
        button.click(handler, sent, one, api_name=name, **parts.RAW, show_progress_on=details)


def _one(selected: _Selected | None) -> _Selected:
    if selected is None:
        raise OrderError("still", "is not chosen", "Choose one of those on show.")
    return selected
