"""Trainings for tests: cached items as the stages before leave them, and a recipe that takes a second or two."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from director_diffusion.latents.rows import LatentRow
from director_diffusion.progress import Progress, Silent
from director_diffusion.prompts.rows import PromptRow
from director_diffusion.specs import (
    AdamW,
    Base,
    FolderSource,
    Guidance,
    HeldOut,
    Licence,
    LoraAdapter,
    Recipe,
    Resolution,
    Schedule,
)
from director_diffusion.storage.items import ItemCache
from director_diffusion.storage.store import Store
from director_diffusion.tensors import write_item
from director_diffusion.training.job import TrainingJob
from director_diffusion.training.rows import Pick, TrainingResult
from director_diffusion.training.stopping import Stop, never
from director_diffusion.training.train import train_adapter
from tests.conftest import MINI

CHANNELS, TOKENS, TEXT_WIDTH, POOLED_WIDTH = 8, 6, 96, 64  # of the mini base, with short prompts
LINEARS = 1 * 12 + 5 * 5  # of the mini base: those of a double block, and of a single one
WIDE, TALL = (12, 20), (16, 12)  # latent cells (height, width)

BASE = Base(
    slug="mini",
    name="mini",
    family="flux",
    source=FolderSource(kind="folder", folder="models/mini/base"),
    model_id="mini",
    licence=Licence(id="apache-2.0"),
    guidance=Guidance(kind="classifier_free"),
    resolution=Resolution(side=64, multiple=8),
    dtype="float32",
)

RECIPE = Recipe(
    slug="tiny",
    base="mini",
    adapter=LoraAdapter(kind="lora", rank=2, alpha=6),
    optimizer=AdamW(lr=1e-2),
    schedule=Schedule(kind="cosine", warmup_steps=2),
    held_out=HeldOut(levels=(0.3, 0.7)),
    steps=7,
    batch_size=2,
    caption_dropout=0.25,
    ema_decay=0.5,
    checkpoint_every=2,
    precision="float32",
    seed=3,
)


def varied(recipe: Recipe, **changes: object) -> Recipe:
    """A recipe with other values, checked as if read from a file."""
    return Recipe.model_validate({**recipe.model_dump(), **changes})


Split = Literal["train", "validation", "none"]


METADATA = {"director": "nolan", "latents": "0123", "prompt_embeddings": "4567"}


@dataclass
class Dataset:
    """Rows of both tables, and the store that their items lie in."""

    store: Store
    latents: list[LatentRow] = field(default_factory=list)
    prompts: list[PromptRow] = field(default_factory=list)


def make_job(dataset: Dataset, recipe: Recipe, work: Path, **changes: Any) -> TrainingJob:
    """A job on CPU."""
    settings = {"base": BASE, "folder": MINI / "base", "device": "cpu", "director": "nolan", **changes}
    return TrainingJob(
        latents=tuple(dataset.latents),
        prompts=tuple(dataset.prompts),
        recipe=recipe,
        base_fingerprint="mini",
        store=dataset.store,
        work=work,
        **settings,
    )


def make_dataset(
    store: Store,
    stills: Sequence[tuple[str, Split, tuple[int, int]]],
    *,
    channels: int = CHANNELS,
    text: tuple[int, int] = (TOKENS, TEXT_WIDTH),
    pooled: int = POOLED_WIDTH,
) -> Dataset:
    """Items for (still, split, cells); a still's number is told by its latents and by its prompt alike."""
    dataset = Dataset(store)
    latent_cache = ItemCache(store, "latents", "test", ".safetensors")
    prompt_cache = ItemCache(store, "prompts", "test", ".safetensors")
    for number, (still, split, (height, width)) in enumerate([*stills, ("", "none", (0, 0))], start=1):
        rng = torch.Generator().manual_seed(number)
        item = still or "empty"
        prompt = {
            "prompt_embeds": torch.randn(*text, generator=rng) + number,
            "pooled_prompt_embeds": torch.randn(pooled, generator=rng),
        }
        write_item(prompt_cache, item, prompt)
        dataset.prompts.append(PromptRow(still, split, f"style, {still}", item, prompt_cache.name(item)))
        if not still:
            continue
        mean = torch.randn(channels, height, width, generator=rng) + number
        write_item(latent_cache, item, {"mean": mean, "std": torch.full_like(mean, 0.01)})
        dataset.latents.append(
            LatentRow(
                still=still,
                film="film",
                split=split,
                width=4 * width,
                height=4 * height,
                cropped=0.0,
                scale=1.0,
                original_width=4 * width,
                original_height=4 * height,
                crop_left=0,
                crop_top=0,
                item=item,
                reference=latent_cache.name(item),
                psnr=30.0,
            )
        )
    return dataset


def train_at(
    folder: Path,
    dataset: Dataset,
    recipe: Recipe,
    *,
    progress: Progress | None = None,
    pick: Pick | None = None,
    stop: Stop = never,
    **changes: Any,
) -> TrainingResult:
    """Train into `folder`/out, with a work folder and a copy of the dataset's store (its finished steps) beside it."""
    out, store = folder / "out", folder / "store"
    out.mkdir(parents=True, exist_ok=True)
    if not store.exists():
        shutil.copytree(str(dataset.store.local_root), store)
    data = Dataset(Store(str(store)), dataset.latents, dataset.prompts)
    job = make_job(data, recipe, folder / "work", **changes)
    return train_adapter(job, out=out, metadata=METADATA, progress=progress or Silent(), pick=pick, stop=stop).result


STILLS: list[tuple[str, Split, tuple[int, int]]] = [
    *((f"wide{i}", "train", WIDE) for i in range(4)),
    ("tall0", "train", TALL),
    ("wide9", "validation", WIDE),
    ("tall9", "validation", TALL),
    ("unused", "none", WIDE),
]
