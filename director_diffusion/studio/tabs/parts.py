"""Parts of a page that several tabs lay out alike.

Belongs here: inputs of a drawing, and how its event is wired.
"""

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from director_diffusion.studio.adapters import choices
from director_diffusion.studio.orders import SEED_MOST
from director_diffusion.studio.studio import Studio

RAW: dict[str, Any] = {"preprocess": False, "postprocess": False}
"""Of an event whose handler takes the very values that were sent, and gives the very ones that a page shows."""


SHOW: dict[str, Any] = {**RAW, "trigger_mode": "always_last"}
"""The same of one that shows what was chosen last: answers to earlier choices must not overtake it."""


def adapter_input(studio: Studio, label: str = "Director") -> gr.Dropdown:
    """One of the adapters, which `keep_choices` lists."""
    return gr.Dropdown(choices(studio), label=label, value=None)


def keep_choices(studio: Studio, inputs: Sequence[gr.Dropdown]) -> None:
    """Offer the adapters that there are whenever the page is opened."""

    def look() -> object:
        update = gr.update(choices=choices(studio))
        return [update] * len(inputs) if len(inputs) > 1 else update

    gr.on(None, look, outputs=list(inputs), show_progress="hidden", api_visibility="private")


def prompt_input(studio: Studio) -> gr.Textbox:
    """What is drawn; `orders.checked_prompt` says what it may be."""
    return gr.Textbox(
        label="Prompt",
        info="What the picture shows. The director's trigger is put before it.",
        lines=2,
        max_length=studio.limits.prompt,
    )


def seed_input() -> gr.Number:
    """Which noise a picture starts from."""
    return gr.Number(label="Seed", value=0, precision=0, minimum=0, maximum=SEED_MOST)


def steps_input(studio: Studio) -> gr.Slider:
    """The evaluation plan's number to begin with."""
    most = studio.limits.steps
    return gr.Slider(1, most, value=min(studio.plan.sampling.steps, most), step=1, label="Steps")


def strength_input(studio: Studio, label: str, value: float = 1.0) -> gr.Slider:
    most = studio.limits.strength
    return gr.Slider(-most, most, value=value, step=0.05, label=label)


def picture_output() -> gr.Image:
    return gr.Image(label="Picture", interactive=False, buttons=["download", "fullscreen"], elem_classes="drawn")


def told_output() -> gr.Textbox:
    """A line about each picture that was drawn."""
    return gr.Textbox(label="Drawn from", interactive=False, lines=1, max_lines=4)


def on_draw(
    button: gr.Button, name: str, handler: Callable[..., Any], inputs: Sequence[Any], outputs: Sequence[Any]
) -> None:
    """Call the handler with the very values that were sent, and show the very ones that it gives.

    Drawing has its own line (`slot`), hence no limit of gradio's: so nobody's vote waits behind pictures.
    """
    button.click(
        handler,
        list(inputs),
        list(outputs),
        concurrency_limit=None,
        api_name=name,
        **RAW,
    )


def picture(address: str) -> dict[str, str | None]:
    """A picture of the shelf, as gradio's page takes it."""
    return {"path": None, "url": address}


def labelled(address: str, label: str) -> dict[str, object]:
    """The same in a gallery, with a line under it."""
    return {"image": picture(address), "caption": label}


def rows(headers: Sequence[str], cells: Sequence[Sequence[str]]) -> dict[str, object]:
    """A table, as gradio's page takes it."""
    return {"headers": list(headers), "data": [list(row) for row in cells], "metadata": None}
