"""The tab Blend: several directors' adapters at weights."""

import gradio as gr

from director_diffusion.studio.drawings import draw_blend
from director_diffusion.studio.studio import Studio
from director_diffusion.studio.tabs import parts
from director_diffusion.studio.visitors import visitor_behind

TITLE = "Blend"


def lay_out(studio: Studio) -> None:
    most = studio.limits.blend
    adapters, weights = [], []
    with gr.Row():
        with gr.Column(scale=2):
            for place in range(most):
                with gr.Row():
                    adapters.append(parts.adapter_input(studio, f"Director {place + 1}"))
                    weights.append(parts.strength_input(studio, "Weight", 0.5))
            prompt = parts.prompt_input(studio)
            steps = parts.steps_input(studio)
            seed = parts.seed_input()
            button = gr.Button("Draw", variant="primary")
        with gr.Column(scale=3):
            image = parts.picture_output()
            told = parts.told_output()

    parts.keep_choices(studio, adapters)

    def draw(request: gr.Request, prompt: object, seed: object, steps: object, *pairs: object) -> tuple[object, str]:
        drawn = draw_blend(studio, visitor_behind(studio, request), pairs[:most], pairs[most:], prompt, seed, steps)
        return parts.picture(drawn.addresses[0]), drawn.told

    parts.on_draw(button, "blend", draw, [prompt, seed, steps, *adapters, *weights], [image, told])
