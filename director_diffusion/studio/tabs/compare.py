"""The tab Compare: base, adapter and student from the same noise."""

import gradio as gr

from director_diffusion.specs import STEP_COUNTS
from director_diffusion.studio.drawings import draw_beside
from director_diffusion.studio.studio import Studio
from director_diffusion.studio.tabs import parts
from director_diffusion.studio.visitors import visitor_behind

TITLE = "Compare"


def lay_out(studio: Studio) -> None:
    with gr.Row():
        with gr.Column(scale=2):
            adapter = parts.adapter_input(studio)
            prompt = parts.prompt_input(studio)
            steps = parts.steps_input(studio)
            counts = [("most steps that there are", 0), *((str(count), count) for count in STEP_COUNTS)]
            turbo = gr.Dropdown(counts, value=0, label="Steps of turbo", info="Where the recipe teaches students.")
            seed = parts.seed_input()
            button = gr.Button("Draw all", variant="primary")
        with gr.Column(scale=3):
            style = gr.ImageSlider(label="Base | adapter", interactive=False)
            speed = gr.ImageSlider(label="Adapter | turbo", interactive=False)
            told = parts.told_output()

    parts.keep_choices(studio, [adapter])

    def draw(request: gr.Request, *given: object) -> tuple[object, object, str]:
        drawn = draw_beside(studio, visitor_behind(studio, request), *given)
        base, full, *few = map(parts.picture, drawn.addresses)
        return [base, full], [full, *few] if few else None, drawn.told

    parts.on_draw(button, "compare", draw, [adapter, prompt, seed, steps, turbo], [style, speed, told])
