"""The tab Try: one director's adapter on a prompt of one's own."""

import gradio as gr

from director_diffusion.studio.drawings import WAYS, draw_one
from director_diffusion.studio.studio import Studio
from director_diffusion.studio.tabs import parts
from director_diffusion.studio.visitors import visitor_behind

TITLE = "Try"


def lay_out(studio: Studio) -> None:
    with gr.Row():
        with gr.Column(scale=2):
            adapter = parts.adapter_input(studio)
            prompt = parts.prompt_input(studio)
            way = gr.Radio([(label, way) for way, label in WAYS.items()], value="full", label="Draw in")
            steps = parts.steps_input(studio)
            strength = parts.strength_input(studio, "Strength of the adapter")
            seed = parts.seed_input()
            button = gr.Button("Draw", variant="primary")
        with gr.Column(scale=3):
            image = parts.picture_output()
            told = parts.told_output()

    parts.keep_choices(studio, [adapter])

    def draw(request: gr.Request, *given: object) -> tuple[object, str]:
        drawn = draw_one(studio, visitor_behind(studio, request), *given)
        return parts.picture(drawn.addresses[0]), drawn.told

    parts.on_draw(button, "try", draw, [adapter, prompt, seed, strength, steps, way], [image, told])
