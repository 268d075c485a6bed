"""Figures: of matplotlib, as pictures.

Belongs here: drawing one on the Agg canvas, without pyplot and its global state.
"""

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image


def picture_of(figure: Figure, dpi: int) -> Image.Image:
    """What `savefig` would write, at a fifth less: that lays a figure out, draws it nowhere, and then draws it."""
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.frombuffer("RGBA", canvas.get_width_height(), canvas.buffer_rgba()).convert("RGB")
