"""Our side of a task, from pictures to the adapter's file.  A process of its own.

    python -m benchmarks.peers.ours TASK_FILE OUT [--seed 0]

Encodes every picture and prompt anew, then trains; says on stdout how many steps are done, as diffusers' scripts do.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from benchmarks.peers.task import TRIGGER, Task
from director_diffusion.captions.rows import Caption
from director_diffusion.latents.encode import encode_latents
from director_diffusion.latents.rows import LatentRow
from director_diffusion.progress import Silent
from director_diffusion.prompts.encode import encode_prompts
from director_diffusion.prompts.rows import PromptRow
from director_diffusion.specs import Base, Director, Recipe
from director_diffusion.stills.rows import Still
from director_diffusion.storage import Store
from director_diffusion.storage.items import ItemCache
from director_diffusion.training.job import TrainingJob
from director_diffusion.training.train import train_adapter

SUFFIX = ".safetensors"


class Told(Silent):
    """Says each step of the training."""

    def __init__(self) -> None:
        self._done, self._total = 0, 0

    @contextmanager
    def task(self, title: str, total: int) -> Iterator["Told"]:
        self._done, self._total = 0, total if title == "training" else 0
        yield self

    def advance(self, steps: int = 1, note: str = "") -> None:
        self._done += steps
        if self._total:
            print(f"Steps: {self._done}/{self._total} [", flush=True)


@dataclass(frozen=True)
class Pictures:
    """The task's pictures as kept stills."""

    task: Task

    @property
    def kept(self) -> list[Still]:
        return [
            Still(
                still=Path(name).stem,
                film=split,
                name=name,
                sha256="",
                status="kept",
                reason="",
                warnings=(),
                split="train" if split == "train" else "held_out",
                width=self.task.side,
                height=self.task.side,
                crop=(),
                reference="",
                file=f"{split}/{name}",
                phash="",
                cluster=0,
            )
            for split, captions in self.task.captions().items()
            for name in captions
        ]

    def open(self, still: Still) -> Image.Image:
        with Image.open(Path(self.task.folder) / still.file) as image:
            return image.convert("RGB")

    def captions(self) -> list[Caption]:
        said = self.task.captions()
        return [
            Caption(
                still=still.still,
                film=still.film,
                name=still.name,
                split=still.split,
                text=said[still.film][still.name] if self.task.captioned else "",
                source="person",
                status="ok",
                problems=(),
                attempts=0,
                tokens=0,
            )
            for still in self.kept
        ]


def base_of(task: Task) -> Base:
    return Base.model_validate(
        {
            "slug": "bench",
            "name": "bench",
            "family": task.family,
            "source": {"kind": "folder", "folder": task.model},
            "model_id": "bench/bench",
            "licence": {"id": "other", "name": "none", "link": "none"},
            "guidance": {"kind": "embedded", "train": task.guidance},
            "resolution": {"side": task.side, "multiple": 8, "aspects": [1.0]},
            "max_prompt_tokens": task.max_tokens,
            "dtype": task.precision,
        }
    )


def recipe_of(task: Task, seed: int) -> Recipe:
    """Nothing but what theirs can be asked too: no average, no dropout, and judged on as little as a recipe can ask."""
    return Recipe.model_validate(
        {
            "slug": "bench",
            "base": "bench",
            "adapter": {"kind": "lora", "rank": task.rank, "alpha": task.rank, "targets": task.preset},
            "optimizer": {
                "kind": "adamw",
                "lr": task.lr,
                "beta2": task.beta2,
                "weight_decay": task.weight_decay,
                "max_grad_norm": 1.0,
            },
            "schedule": {"kind": "cosine", "warmup_steps": task.warmup_steps},
            "timesteps": {"kind": "logit_normal" if task.family == "flux" else "uniform", "shift": "none"},
            "held_out": {"levels": [0.5]},
            "steps": task.steps,
            "batch_size": task.batch_size,
            "caption_dropout": 0.0,
            "ema_decay": 0.0,
            "checkpoint_every": task.steps,
            "precision": task.precision,
            "compiled": task.compiled,
            "seed": seed,
        }
    )


def encode(task: Task, base: Base, out: Path) -> tuple[Store, list[LatentRow], list[PromptRow]]:
    """Posteriors and embeddings of all pictures, in a store of their own below `out`."""
    out.mkdir(parents=True, exist_ok=True)
    store, pictures, folder, told = Store(str(out / "store")), Pictures(task), Path(task.model), Told()
    director = Director(slug="bench", name="bench", trigger=TRIGGER, stills_licence="drawn here")
    latents = encode_latents(
        pictures,
        base,
        folder,
        cache=ItemCache(store, "latents", "bench", SUFFIX),
        device=task.device,
        out=out,
        progress=told,
    )
    prompts = encode_prompts(
        pictures.captions(),
        director,
        base,
        folder,
        cache=ItemCache(store, "prompts", "bench", SUFFIX),
        device=task.device,
        out=out,
        progress=told,
    )
    return store, latents, prompts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    task = Task.read(options.task)
    base = base_of(task)
    store, latents, prompts = encode(task, base, options.out)
    job = TrainingJob(
        director="bench",
        latents=tuple(latents),
        prompts=tuple(prompts),
        base=base,
        recipe=recipe_of(task, options.seed),
        folder=Path(task.model),
        base_fingerprint="bench",
        store=store,
        work=options.out / "work",
        device=task.device,
    )
    train_adapter(job, out=options.out, metadata={}, progress=Told())


if __name__ == "__main__":
    main()
