"""The tab Leaderboard: all directors' adapters by all recipes, sorted as one asks."""

from functools import partial

import gradio as gr

from director_diffusion.studio.standing import ALL, ORDERS, SUREST, shown
from director_diffusion.studio.studio import Studio

TITLE = "Leaderboard"


def lay_out(studio: Studio) -> None:
    """The table, read whenever the page is opened or asked otherwise."""
    with gr.Row():
        order = gr.Dropdown(list(ORDERS), value=SUREST, label="Sort by")
        director = gr.Dropdown([ALL, *studio.directors], value=ALL, label="Director")
        recipe = gr.Dropdown([ALL, *studio.recipes], value=ALL, label="Recipe")
    gr.HTML(partial(shown, studio.store), inputs=[order, director, recipe], label=TITLE)
