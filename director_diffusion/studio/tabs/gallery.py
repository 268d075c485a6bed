"""The tab Gallery: adapters and their cards."""

import gradio as gr

from director_diffusion.studio.cards import Entry, card_of, overview, watched_entries
from director_diffusion.studio.studio import Studio
from director_diffusion.studio.tabs import parts

TITLE = "Gallery"


def lay_out(studio: Studio) -> None:
    """A row for each adapter, and the card of the one that is chosen."""
    watched = watched_entries(studio)
    found = watched.now()
    table = gr.HTML(overview(found))
    chosen = gr.Dropdown(choices_of(found), label="Card of", value=None)
    card = gr.Markdown(latex_delimiters=[], elem_classes="card")

    def look() -> tuple[str, object]:
        found = watched.now()
        return overview(found), gr.update(choices=choices_of(found))

    gr.on(None, look, outputs=[table, chosen], show_progress="hidden", api_visibility="private")
    chosen.input(lambda value: card_of(studio, value, studio.shelf.put_png), chosen, card, api_name="card", **parts.RAW)


def choices_of(found: list[Entry]) -> list[tuple[str, str]]:
    return [(one.label, one.value) for one in found]
