"""A teacher of the tiny base, and jobs of students that take seconds."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from director_diffusion.adapters.files import save_adapter
from director_diffusion.adapters.injection import adapter_weights, inject_adapter, set_adapter_weights
from director_diffusion.distillation.job import StudentJob
from director_diffusion.families import get_family
from director_diffusion.specs import AdamW, LoraAdapter, Recipe, Resolution, Schedule, SegmentTurbo
from director_diffusion.storage import Store
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


def random_adapter(path: Path, spec: LoraAdapter, seed: int) -> Path:
    """An adapter of the tiny base that changes what it predicts."""
    family = get_family("flux")
    denoiser: Any = family.load_denoiser(MINI / "base", device="cpu", dtype=torch.float32)
    targets = family.target_modules(denoiser, spec.targets)
    inject_adapter(denoiser, spec, targets)
    rng = torch.Generator().manual_seed(seed)
    weights = {
        name: torch.randn(tensor.shape, generator=rng) * 0.1 for name, tensor in adapter_weights(denoiser).items()
    }
    set_adapter_weights(denoiser, weights)
    save_adapter(path, adapter_weights(denoiser), spec, targets, role=family.role, metadata={"trigger": "nolan style"})
    return path


@pytest.fixture(scope="session")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = LoraAdapter(kind="lora", rank=2, alpha=4, targets="attention")
    return random_adapter(tmp_path_factory.mktemp("adapter") / "adapter.safetensors", spec, seed=0)


@pytest.fixture
def make_job(adapter: Path) -> MakeJob:
    """A function that makes a job in a folder, with changes to its recipe's `turbo` or to itself."""

    def make(folder: Path, *, turbo: dict[str, Any] | None = None, **changes: Any) -> StudentJob:
        store = Store(str(folder / "store"))
        split = ("train", "train", "train", "validation")
        data = make_dataset(store, [(f"still{number}", one, (12, 20)) for number, one in enumerate(split)])
        recipe: Recipe = varied(RECIPE, turbo=TURBO.model_copy(update=turbo or {}).model_dump())
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
