"""A teacher of the tiny base, and jobs of students that take seconds."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from director_diffusion.distillation.job import StudentJob
from director_diffusion.specs import AdamW, LoraAdapter, Recipe, Resolution, Schedule, SegmentTurbo
from director_diffusion.storage import Store
from tests.adapters.adapted import random_adapter
from tests.conftest import MINI
from tests.training.trainings import BASE, RECIPE, make_dataset, varied

TURBO = SegmentTurbo(
    step_counts=(1, 2),
    teacher_steps=16,
    trajectories=2,
    adapter=LoraAdapter(kind="lora", rank=2, alpha=2),
    optimizer=AdamW(lr=5e-3),
    schedule=Schedule(kind="cosine", warmup_steps=1),
    steps=6,
    visited_steps=4,
    batch_size=3,
    checkpoint_every=2,
    ema_decay=0.5,
)

SMALL = BASE.model_copy(update={"resolution": Resolution(side=24, multiple=8)})
MakeJob = Callable[..., StudentJob]


@pytest.fixture(scope="session")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = LoraAdapter(kind="lora", rank=2, alpha=4, targets="attention")
    return random_adapter(tmp_path_factory.mktemp("adapter") / "adapter.safetensors", spec, seed=0)


@pytest.fixture
def make_job(adapter: Path) -> MakeJob:
    """A function that makes a job in a folder, with changes to its recipe's `turbo` or to itself."""

    def make(
        folder: Path, *, turbo: dict[str, Any] | None = None, precision: str = "float32", **changes: Any
    ) -> StudentJob:
        store = Store(str(folder / "store"))
        split = ("train", "train", "train", "validation")
        data = make_dataset(store, [(f"still{number}", one, (12, 20)) for number, one in enumerate(split)])
        turbo_ = TURBO.model_copy(update=turbo or {})
        recipe: Recipe = varied(RECIPE, turbo=turbo_.model_dump(), precision=precision)
        job = StudentJob(
            director="nolan",
            prompts=tuple(data.prompts),
            base=SMALL,
            recipe=recipe,
            guidance=3.0,
            folder=MINI / "base",
            base_fingerprint="mini",
            adapter=adapter,
            drawn_by="here",
            store=store,
            work=folder / "work",
            device="cpu",
        )
        return replace(job, **changes)

    return make
