"""The tab Gallery: adapters and their cards."""

import gradio as gr

from director_diffusion.studio.studio import Studio

TITLE = "Gallery"


def lay_out(studio: Studio) -> None:
    """A row for each director."""
    gr.Markdown("\n".join(f"- {director.name}" for director in studio.directors.values()))
