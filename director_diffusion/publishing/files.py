"""Files of a repository: their names, and how pictures lie in it.

Belongs here: which pictures a card shows and at which size.
"""

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from director_diffusion.publishing.inputs import CardInputs
from director_diffusion.publishing.workflow import why_not
from director_diffusion.sampling.images import png_bytes
from director_diffusion.specs import LoraAdapter

LARGEST, SMALLEST = 1024, 256  # pixels along the longer side of a sample, as shown


@dataclass(frozen=True)
class Files:
    """Names in the repository; "" for what it does not hold."""

    grids: tuple[str, ...]
    samples: tuple[str, ...]
    effects: str
    confusion: str
    curve: str
    comfyui: str


def files_of(card: CardInputs) -> Files:
    """Which pictures and files this repository has, by its grids, samples, confusions and kind of adapter."""
    adapter = card.recipe.adapter
    dora = isinstance(adapter, LoraAdapter) and adapter.dora  # in ComfyUI's terms it takes the base's own weights
    readable = not dora and not why_not(card.base.drawn_with)
    return Files(
        grids=tuple(f"images/comparison{'-novel' if grid.novel else ''}.png" for grid in card.grids),
        samples=tuple(f"images/sample-{place:02d}.png" for place in range(len(card.pictures))),
        effects="images/effects.png",
        confusion="images/confusion.png" if len(card.evaluation.confusion["adapter"]) > 1 else "",
        curve="images/training.png",
        comfyui=f"comfyui/{card.director.slug}-{card.recipe.slug}.safetensors" if readable else "",
    )


def write_pictures(card: CardInputs, files: Files, repo: Path) -> None:
    """Draw and write every picture of `files` below `repo`."""
    from director_diffusion.evaluation.plots import confusion_plot, effects_plot
    from director_diffusion.publishing.text_students import FEW_STEPS_IMAGE
    from director_diffusion.training.plots import curve_plot

    training = card.training
    pictures = {file: grid.image for file, grid in zip(files.grids, card.grids, strict=True)}
    pictures |= {file: shown(one.image) for file, one in zip(files.samples, card.pictures, strict=True)}
    pictures[files.effects] = effects_plot(card.evaluation)
    pictures[files.curve] = curve_plot(training.curve, training.step, training.by)
    if card.students is not None:
        pictures[FEW_STEPS_IMAGE] = card.students.grid
    if files.confusion:
        pictures[files.confusion] = confusion_plot(card.director.slug, card.evaluation.confusion)
    for name, picture in pictures.items():
        (repo / name).parent.mkdir(parents=True, exist_ok=True)
        (repo / name).write_bytes(png_bytes(picture))


def shown(image: Image.Image) -> Image.Image:
    """A sample as people look at it: no wider than a page, and a tiny one enlarged so that its pixels stay squares."""
    side = max(image.size)
    if side > LARGEST:
        return image.resize(_times(image, LARGEST / side), Image.Resampling.LANCZOS)
    if side < SMALLEST:
        return image.resize(_times(image, SMALLEST // side), Image.Resampling.NEAREST)
    return image


def _times(image: Image.Image, factor: float) -> tuple[int, int]:
    width, height = image.size
    return max(1, round(width * factor)), max(1, round(height * factor))
