"""The style encoder: vectors that tell looks apart, whatever the pictures show.

Belongs here: drawing many scenes in one style, the lesson on them, and the folder, which timm reads as `local-dir:`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import timm
import torch
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from PIL import Image
from timm.models import save_for_hf
from torch import Tensor, nn
from torch.nn import functional as F

from director_diffusion.errors import SpecError
from director_diffusion.latents.buckets import Bucket, buckets
from director_diffusion.pretraining.contrast import contrast, cosine_picture
from director_diffusion.pretraining.drawn import DRAWN_LARGER, Picture
from director_diffusion.pretraining.labels import STYLE_NUMBERS, style_numbers
from director_diffusion.pretraining.loop import seeded
from director_diffusion.pretraining.part_run import PartRun, trained_here
from director_diffusion.pretraining.specs import DrawnScenes, StyleEncoderPart
from director_diffusion.pretraining.views import Eye, flipped_at_random, see
from director_diffusion.progress import track
from director_diffusion.scenes.drawing import draw
from director_diffusion.scenes.scene import sample_scene
from director_diffusion.scenes.style import NEUTRAL, Style, sample_style
from director_diffusion.specs import Base

SCENES = 4  # drawn in each style
SCALE = 10.0  # of cosines: a style beside it is hardly another
NUMBERS_WEIGHT = 1.0  # of reading a style's numbers off its vector, against telling styles apart
SHOWN = 48  # held-out styles in a preview


@dataclass(frozen=True)
class Looks:
    """Styles, and several scenes seen in each."""

    levels: Tensor  # (N, SCENES, 3, height, width), uint8
    styles: tuple[Style, ...]


def build_style_encoder(base: Base, run: PartRun) -> None:
    """Train the encoder that the base's spec describes; `run.out` becomes a timm `local-dir:` folder."""
    spec = trained_here(base)
    part = spec.style_encoder
    if part is None:
        raise SpecError(base.slug, "has no style encoder to train", "Give trained_here.style_encoder in its file.")
    if not timm.is_model(part.architecture):  # better known before any picture is drawn
        raise SpecError(
            base.slug,
            f"has trained_here.style_encoder.architecture = {part.architecture!r}, which timm does not know",
            "Give a name that timm.list_models() lists.",
        )
    training, held_out = see_looks(base, part, run)
    with seeded("style encoder", spec.seed, "start"):
        encoder = timm.create_model(part.architecture, num_classes=0)
        lesson = StyleLesson(encoder.to(run.device), training, held_out, part, run.device)
    run.train(lesson, part, title="training the style encoder", seed=spec.seed)
    sight = {
        "input_size": (3, part.pixel_height, part.pixel_width),
        "mean": OPENAI_DATASET_MEAN,
        "std": OPENAI_DATASET_STD,
        "interpolation": "bicubic",
        "crop_pct": 1.0,
        "crop_mode": "squash",
    }
    save_for_hf(encoder.cpu().half(), run.out, safe_serialization=True, data_config=sight)


class StyleLesson:
    """See `loop.Lesson`.  Of two scenes in each style, each is to find the other among all; and a style's numbers are
    to be read off its vector, by a head that is thrown away.
    """

    def __init__(self, encoder: nn.Module, training: Looks, held_out: Looks, part: StyleEncoderPart, device: str):
        self.encoder, self._training, self._held_out, self._part = encoder, training, held_out, part
        self._eye, self._device = eye(part), device
        self._head = nn.Linear(cast(int, encoder.num_features), STYLE_NUMBERS).to(device)
        self._numbers = style_numbers(training.styles)
        # Pictures in no style at all look alike, too.
        self._names = torch.tensor([-1 if style == NEUTRAL else n for n, style in enumerate(training.styles)])

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        return {"style_encoder": self.encoder, "head": self._head}

    def loss(self, step: int) -> Tensor:
        rows = torch.randperm(len(self._names))[: self._part.batch_size // 2]
        scenes = torch.rand(len(rows), SCENES).argsort(dim=1)
        levels = torch.cat([self._training.levels[rows, scenes[:, 0]], self._training.levels[rows, scenes[:, 1]]])
        vectors = self._vectors(flipped_at_random(levels).to(self._device))
        names, numbers = self._names[rows].to(self._device), self._numbers[rows].repeat(2, 1).to(self._device)
        read = self._head(vectors * vectors.shape[1] ** 0.5).float()
        one, other = vectors.chunk(2)
        return contrast(one, other, names[:, None] == names[None], SCALE) + NUMBERS_WEIGHT * F.mse_loss(read, numbers)

    def _vectors(self, levels: Tensor) -> Tensor:
        return F.normalize(self.encoder(self._eye.normalised(levels)).float(), dim=-1)

    @torch.no_grad()
    def preview(self) -> Image.Image:
        """Cosines of one scene (down) and another (across) in held-out styles."""
        one, other = (self._vectors(self._held_out.levels[:SHOWN, n].to(self._device)) for n in (0, 1))
        return cosine_picture(one, other)


def eye(part: StyleEncoderPart) -> Eye:
    """How the style encoder sees pictures: as its configuration makes timm show them."""
    return Eye(part.pixel_height, part.pixel_width, OPENAI_DATASET_MEAN, OPENAI_DATASET_STD)


def see_looks(base: Base, part: StyleEncoderPart, run: PartRun) -> tuple[Looks, Looks]:
    """As many pictures as the base's data has, to train on, and held out from it."""
    data, resolution = trained_here(base).data, base.resolution
    assert isinstance(data, DrawnScenes)  # the spec's own check sees to that
    shapes = buckets(resolution.side, resolution.multiple, resolution.aspects)
    styles = max(data.pictures // SCENES, 2)

    def seen(start: int, stop: int, title: str) -> Looks:
        numbers = track(range(start, stop), run.progress, title, stop - start)
        seed = trained_here(base).seed
        views = see((p for n in numbers for p in _in_one_style((seed, n, 1), shapes, part.styled_share)), eye(part))
        return Looks(views.levels.unflatten(0, (stop - start, SCENES)), views.styles[::SCENES])

    held_out = max(data.held_out // SCENES, 2)
    return seen(0, styles, "drawing styles"), seen(styles, styles + held_out, "drawing held-out styles")


def _in_one_style(seed: tuple[int, ...], shapes: tuple[Bucket, ...], styled_share: float) -> Iterator[Picture]:
    rng = np.random.default_rng(seed)
    style = sample_style(rng) if rng.random() < styled_share else NEUTRAL
    for _ in range(SCENES):
        scene, shape = sample_scene(rng), shapes[int(rng.integers(len(shapes)))]
        image = draw(scene, style, shape.width * DRAWN_LARGER, shape.height * DRAWN_LARGER, rng)
        yield Picture(image, scene, style)
