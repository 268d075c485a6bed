"""Building: one part of the small model set into a folder.

Belongs here: which steps make which part.  Where folders are cached and under which name, the caller says.
"""

from pathlib import Path

from director_diffusion.mini.architecture import (
    save_embedder,
    save_untrained_captioner,
    seeded,
    untrained_base,
    untrained_embedder,
)
from director_diffusion.mini.data import draw_pictures, grouped
from director_diffusion.mini.train_denoiser import train_denoiser
from director_diffusion.mini.train_embedder import train_embedder
from director_diffusion.mini.train_vae import train_vae
from director_diffusion.progress import Progress
from director_diffusion.specs import BuiltSource

MOST_PICTURES = 1400
_PICTURES_PER_STEP = 4  # a short training needs no more pictures than it looks at


def build_part(source: BuiltSource, folder: Path, progress: Progress) -> None:
    """Make the part that `source` names and train it as briefly as it says, into `folder`, in the real layout.

    The same source gives the same weights on the same machine; other machines' arithmetic may differ in the last bits.
    """
    folder.mkdir(parents=True, exist_ok=True)
    match source.part:
        case "base":
            _build_base(source, folder, progress)
        case "captioner":
            save_untrained_captioner(folder, source.seed)
        case "embedder":
            _build_embedder(source, folder, progress)


def _build_base(source: BuiltSource, folder: Path, progress: Progress) -> None:
    groups = grouped(draw_pictures(_pictures(source.vae_steps, source.denoiser_steps), source.seed, progress))
    with seeded(source.seed):
        pipeline = untrained_base()
        train_vae(pipeline.vae, groups, source.vae_steps, progress)
        train_denoiser(pipeline, groups, source.denoiser_steps, progress)
        pipeline.save_pretrained(folder)


def _build_embedder(source: BuiltSource, folder: Path, progress: Progress) -> None:
    pictures = draw_pictures(_pictures(source.embedder_steps), source.seed + 1, progress)
    with seeded(source.seed):
        model = untrained_embedder()
        train_embedder(model, pictures, source.embedder_steps, progress)
        save_embedder(model, folder)


def _pictures(*steps: int) -> int:
    return min(max(_PICTURES_PER_STEP * max(steps), 96), MOST_PICTURES)
