"""Previews: what the adapter draws while it is trained, for people to look at.

Belongs here: drawing the fixed prompts at some steps and strengths, and laying the pictures out.  Nothing here is
scored, and nothing here touches what is learned.

Prompts were embedded with the training's own, so no text encoder is loaded; the VAE is, for the moments of decoding.
"""

import io
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from director_diffusion.families.base import ImageCodec, Placement, Sketch
from director_diffusion.hashing import hash_data, short
from director_diffusion.latents.buckets import nearest
from director_diffusion.latents.pixels import to_image
from director_diffusion.prompts.load import load_prompts
from director_diffusion.sampling.grids import labelled_grid
from director_diffusion.sampling.images import png_bytes
from director_diffusion.storage.items import ItemCache
from director_diffusion.training.job import TrainingJob
from director_diffusion.training.trainee import Trainee

MOST_COLUMNS = 12  # steps in the sheet, the first and the last among them
LEAST_WIDTH, MOST_WIDTH = 96, 192  # pixels of a picture in a sheet
MOST_ROWS = 5  # steps in the grid of strengths, the last among them

Wear = Callable[[int, float], None]
"""Puts the adapter of a step at a strength into the trainee."""


@dataclass(frozen=True)
class _Asked:
    row: int
    seed: int
    conditions: Mapping[str, Tensor]


class Previews:
    """The previews of one training; pictures are kept in the store, so a training that goes on shows all of them."""

    def __init__(self, job: TrainingJob):
        assert job.previews is not None
        self._job, self._spec = job, job.previews
        resolution = job.base.resolution
        if self._spec.side is not None:
            resolution = resolution.model_copy(update={"side": self._spec.side})
        self._bucket = nearest(resolution, job.preview_aspect)
        rows = list(job.preview_prompts)
        empty = next(row for row in job.training_prompts if not row.still)
        embedded = load_prompts([*rows, empty], job.store)
        self._empty = embedded[empty.item]
        self._start = "base" if job.init is None else "start"
        self._labels = [row.prompt for row in rows]
        self._asked = [
            _Asked(number, seed, embedded[row.item]) for number, row in enumerate(rows) for seed in self._spec.seeds
        ]
        guidance = job.base.guidance
        self._guidance = guidance.sample if self._spec.guidance is None else self._spec.guidance
        fingerprint = hash_data(
            {
                "training": job.identity.short,
                "prompts": [row.reference for row in rows],
                "sampler": [self._spec.steps, self._guidance, guidance.kind],
                "size": [self._bucket.width, self._bucket.height],
            }
        )
        self._cache = ItemCache(job.store, "previews", short(fingerprint), ".png")
        self._codec: ImageCodec | None = None
        self.seconds = 0.0  # spent here by this process

    def draw(self, trainee: Trainee, step: int) -> None:
        """Draw every prompt and seed with the trainee as it is, after `step` steps, unless they are there.

        Together even where only one is lacking: beside others each comes out a little different.
        """
        items = [_item(step, asked) for asked in self._asked]
        missing = set(self._cache.missing(items))
        if missing:
            latents = self._drawn(trainee, self._asked)
            chosen = [number for number, item in enumerate(items) if item in missing]
            self._keep(trainee, [items[number] for number in chosen], [latents[chosen]])

    def draw_all(self, trainee: Trainee, steps: Sequence[int], wear: Wear) -> None:
        """Draw what is lacking of the sheet and of the grid of strengths: of steps that were trained before."""
        for step in shown(steps, MOST_COLUMNS):
            if self._cache.missing(_item(step, asked) for asked in self._asked):
                wear(step, 1.0)
                self.draw(trainee, step)
        first = self._asked[0]
        cells = {
            _item(step, first, strength): (step, strength)
            for step in shown(steps, MOST_ROWS)
            for strength in self._spec.strengths
        }
        missing, latents = self._cache.missing(cells), []
        for item in missing:
            wear(*cells[item])
            latents.append(self._drawn(trainee, [first]))
        self._keep(trainee, missing, latents)

    def sheet(self) -> Image.Image:
        """Prompts and seeds as rows, the steps drawn so far as columns."""
        drawn = {int(name.split("-")[0]) for name in self._cache.store.names(self._cache.folder)}
        whole = [step for step in sorted(drawn) if not self._cache.missing(_item(step, one) for one in self._asked)]
        first, later = whole[:1], whole[1:]
        steps = first + shown(later, MOST_COLUMNS - 1)
        return self._grid(
            [[self._open(_item(step, asked)) for step in steps] for asked in self._asked],
            rows=[f"{self._labels[asked.row]}  (seed {asked.seed})" for asked in self._asked],
            columns=[f"step {step}" if step else self._start for step in steps],
        )

    def strengths(self, steps: Sequence[int]) -> Image.Image:
        """The first prompt by some steps' adapters (rows) at the spec's strengths (columns), as `draw_all` drew it."""
        rows, columns = shown(steps, MOST_ROWS), self._spec.strengths
        return self._grid(
            [[self._open(_item(step, self._asked[0], strength)) for strength in columns] for step in rows],
            rows=[f"step {step}" for step in rows],
            columns=[f"strength {strength:g}" for strength in columns],
        )

    @torch.no_grad()
    def _drawn(self, trainee: Trainee, asked: Sequence[_Asked]) -> Tensor:
        """Latents (B, C, h, w), on the CPU."""
        started = time.perf_counter()
        job, family, device = self._job, trainee.family, trainee.accelerator.device
        sizes = family.size_conditions(self._placement())
        trainee.denoiser.eval()
        with trainee.accelerator.autocast():
            sketch = Sketch(
                conditions=_batch([{**one.conditions, **sizes} for one in asked], device),
                empty=_batch([{**self._empty, **sizes}] * len(asked), device),
                seeds=[one.seed for one in asked],
                width=self._bucket.width,
                height=self._bucket.height,
                steps=self._spec.steps,
                guidance=self._guidance,
                guidance_kind=job.base.guidance.kind,
            )
            latents = family.sketch(job.folder, trainee.denoiser, sketch).cpu()
        self.seconds += time.perf_counter() - started
        return latents

    def _keep(self, trainee: Trainee, items: Sequence[str], latents: Sequence[Tensor]) -> None:
        """Decode `latents`, in the order of their items, one picture at a time: the denoiser leaves little memory."""
        if not items:
            return
        started = time.perf_counter()
        device = trainee.accelerator.device
        if self._codec is None:
            self._codec = trainee.family.load_codec(self._job.folder, device=str(device))
        for item, latent in zip(items, torch.cat(list(latents)), strict=True):
            self._cache.write(item, png_bytes(to_image(self._codec.decode(latent[None])[0].cpu())))
        if device.type != "cpu":
            self._codec = None  # a GPU's memory is the denoiser's
        self.seconds += time.perf_counter() - started

    def _grid(
        self, cells: Sequence[Sequence[Image.Image]], *, rows: Sequence[str], columns: Sequence[str]
    ) -> Image.Image:
        width = self._bucket.width
        shown_at = min(width * math.ceil(LEAST_WIDTH / width), MOST_WIDTH)  # small ones enlarged by a whole factor
        return labelled_grid(cells, rows=rows, columns=columns, width=shown_at)

    def _placement(self) -> Placement:
        width, height = self._bucket.width, self._bucket.height
        return Placement(width, height, original_width=width, original_height=height, left=0, top=0)

    def _open(self, item: str) -> Image.Image:
        with Image.open(io.BytesIO(self._cache.read(item))) as image:
            return image.convert("RGB")


def shown(steps: Sequence[int], most: int) -> list[int]:
    """At most `most` of the steps, spread evenly, the last among them."""
    if len(steps) <= most:
        return list(steps)
    return [steps[round((number + 1) * len(steps) / most) - 1] for number in range(most)]


def _item(step: int, asked: _Asked, strength: float = 1.0) -> str:
    weaker = "" if strength == 1 else f"-strength-{strength:g}"
    return f"{step:06d}-{asked.row}-{asked.seed}{weaker}"


def _batch(conditions: Sequence[Mapping[str, Tensor]], device: torch.device) -> dict[str, Tensor]:
    return {name: torch.stack([one[name] for one in conditions]).to(device) for name in conditions[0]}
