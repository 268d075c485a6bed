"""The tab Captions: those that need a person first; people write, take back, find and replace."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from director_diffusion.captions.editing import MOST_TEXT, Entry, checked_text
from director_diffusion.captions.replacing import MOST_WORDS
from director_diffusion.errors import OrderError
from director_diffusion.studio import captions_shown
from director_diffusion.studio.captions_shown import CHOICES, PAGE, captions_on_show
from director_diffusion.studio.paging import page_of
from director_diffusion.studio.stills_shown import Stills, stills_on_show
from director_diffusion.studio.studio import Studio
from director_diffusion.studio.tabs import parts

TITLE = "Captions"
_INTRODUCTION = (
    "What training is told that each still shows, never how it is styled: the trigger stands for that. What you write "
    "is a `.txt` file beside the still and wins over the model's; it takes effect with the next run."
)
_HEADERS = ["still", "by", "caption"]
_CHANGES = ["still", "before", "after", "the rules say"]


@dataclass(frozen=True)
class _Selected:
    """The caption that a visitor edits, as it was shown; `warned` is the text whose warnings they have read."""

    director: str
    entry: Entry
    warned: str = ""


def lay_out(studio: Studio) -> None:
    """The queue, one caption to edit, and a search over all."""
    stills = Stills(studio)
    gr.Markdown(_INTRODUCTION)
    selected, token = gr.State(), gr.State()
    with gr.Row():
        director = gr.Dropdown([(one.name, slug) for slug, one in studio.directors.items()], label="Director")
        choice = gr.Dropdown(list(CHOICES), value=CHOICES[0], label="Show")
        number = gr.Number(1, precision=0, minimum=1, label="Page")
        show = gr.Button("Show", variant="primary")
    counted = gr.Markdown()
    table = gr.Dataframe(headers=_HEADERS, type="array", interactive=False, wrap=True, max_height=360, buttons=[])
    with gr.Row():
        picture = gr.Image(interactive=False, show_label=False, buttons=[], elem_classes="drawn")
        with gr.Column():
            details = gr.HTML()
            text = gr.Textbox(label="Caption", lines=3, max_length=MOST_TEXT)
            with gr.Row():
                check = gr.Button("Check")
                save = gr.Button("Save", variant="primary")
                undo = gr.Button("Undo: back to the model's")
    with gr.Accordion("Find and replace", open=False):
        with gr.Row():
            find = gr.Textbox(label="Find", max_length=MOST_WORDS)
            put = gr.Textbox(label="Replace with", max_length=MOST_WORDS)
            whole = gr.Checkbox(True, label="Whole words")
            case = gr.Checkbox(False, label="Match case")
        changes = gr.Dataframe(
            headers=_CHANGES,
            type="array",
            interactive=False,
            wrap=True,
            max_height=360,
            buttons=[],
        )
        found = gr.Markdown()
        with gr.Row():
            look = gr.Button("Preview")
            replace = gr.Button("Replace all of these", variant="primary")

    def show_table(director: Any, choice: Any, number: Any) -> tuple[Any, ...]:
        shown = captions_on_show(studio, director)
        chosen, where = page_of(captions_shown.chosen(shown, choice), number, PAGE, "captions")
        words = f"{where}; of all {captions_shown.counted(shown)}"
        return parts.rows(_HEADERS, captions_shown.rows_of(chosen)), words

    def select(director: Any, event: gr.SelectData) -> tuple[Any, ...]:
        # The row's words and not its number: a browser sorts as it likes.
        row = event.row_value
        entry = captions_shown.entry_on_show(studio, director, row[0] if isinstance(row, list) and row else None)
        return _shown(director, entry)

    def _shown(director: str, entry: Entry) -> tuple[Any, ...]:
        at = (entry.still.film, entry.still.name)
        still = next(one for one in stills_on_show(studio, director) if (one.still.film, one.still.name) == at)
        told = captions_shown.told(entry, entry.problems)
        return _Selected(director, entry), parts.picture(stills.thumb(director, still)), told, entry.text

    def do_check(selected: _Selected | None, text: Any) -> tuple[Any, ...]:
        one = _one(selected)
        line, problems = _judged(one, text)
        return _Selected(one.director, one.entry, line), captions_shown.told(one.entry, problems)

    def do_save(selected: _Selected | None, text: Any) -> tuple[Any, ...]:
        one = _one(selected)
        line, problems = _judged(one, text)
        if problems and one.warned != line:
            told = captions_shown.told(one.entry, [*problems, "Save once more to save it all the same."])
            return _Selected(one.director, one.entry, line), told, text
        captions_shown.save(studio, one.director, one.entry, line)
        gr.Info("Saved: takes effect with the next run.", duration=3)
        return _again(one, problems)

    def do_undo(selected: _Selected | None) -> tuple[Any, ...]:
        one = _one(selected)
        captions_shown.undo(studio, one.director, one.entry)
        return _again(one, ())

    def _judged(one: _Selected, text: Any) -> tuple[str, list[str]]:
        line = checked_text(text, studio.directors[one.director])
        shown = captions_on_show(studio, one.director)
        return line, captions_shown.problems_of(studio, one.director, one.entry, line, shown)

    def _again(one: _Selected, problems: Any) -> tuple[Any, ...]:
        now = captions_shown.entry_on_show(studio, one.director, one.entry.name)
        return _Selected(one.director, now), captions_shown.told(now, problems), now.text

    def preview(director: Any, find: Any, put: Any, whole: Any, case: Any) -> tuple[Any, ...]:
        _, shown, seen = captions_shown.searched(studio, director, find, put, whole_words=whole, match_case=case)
        rows = captions_shown.changes_of(studio, director, seen, shown)
        return seen.token, parts.rows(_CHANGES, rows), captions_shown.said_of(seen)

    def do_replace(token: Any, director: Any, find: Any, put: Any, whole: Any, case: Any) -> tuple[Any, ...]:
        if token is None:
            raise OrderError("changes", "have not been shown", "Look at the preview first.")
        count = captions_shown.replace_all(studio, director, find, put, whole_words=whole, match_case=case, token=token)
        return None, parts.rows(_CHANGES, []), f"{count} captions were written."

    one = [selected, details, text]
    shows = [show.click, choice.input, director.input]
    gr.on(shows, show_table, [director, choice, number], [table, counted], api_name="captions", **parts.SHOW)
    table.select(
        select,
        [director],
        [selected, picture, details, text],
        api_name="caption",
        **parts.SHOW,
        show_progress_on=details,
    )
    check.click(
        do_check, [selected, text], [selected, details], api_name="check_caption", **parts.RAW, show_progress_on=details
    )
    save.click(do_save, [selected, text], one, api_name="save_caption", **parts.RAW, show_progress_on=details)
    undo.click(do_undo, [selected], one, api_name="undo_caption", **parts.RAW, show_progress_on=details)
    query = [director, find, put, whole, case]
    look.click(
        preview, query, [token, changes, found], api_name="preview_replacing", **parts.RAW, show_progress_on=found
    )
    replace.click(
        do_replace, [token, *query], [token, changes, found], api_name="replace", **parts.RAW, show_progress_on=found
    )


def _one(selected: _Selected | None) -> _Selected:
    if selected is None:
        raise OrderError("caption", "is not chosen", "Choose a row.")
    return selected
