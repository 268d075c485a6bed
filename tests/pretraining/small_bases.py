"""A base of the real classes, small enough to be trained for a few steps in a test."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from director_diffusion.pretraining.keys import data_fingerprint
from director_diffusion.pretraining.loop import Lesson, autocast, seeded
from director_diffusion.pretraining.part_run import PartRun, trained_here
from director_diffusion.pretraining.specs import DrawnScenes, PartTraining
from director_diffusion.progress import Silent
from director_diffusion.specs import Base

STEPS = {"steps": 4, "batch_size": 4, "lr": 2.0e-3, "checkpoint_every": 2, "preview_every": 2}
VAE = {**STEPS, "channels": [16, 16], "latent_channels": 4}
DENOISER = {
    **STEPS,
    "heads": 2,
    "head_dim": 12,
    "rope": [4, 4, 4],
    "layers": 1,
    "single_layers": 1,
    "text_width": 32,
    "pooled_width": 32,
    "text_layers": 1,
    "prompt_tokens": 24,
    "preview_steps": 2,
}


def small_base(**changes: Any) -> Base:
    """A base that draws its scenes at 32 pixels; `changes` replace entries of `trained_here`."""
    trained_here = {
        "data": {"kind": "drawn_scenes", "pictures": 24, "held_out": 8},
        "vae": VAE,
        "denoiser": DENOISER,
        **changes,
    }
    return Base.model_validate(
        {
            "slug": "small",
            "name": "small",
            "family": "flux",
            "source": {"kind": "base_model", "base": "small"},
            "model_id": "tests/small",
            "licence": {"id": "apache-2.0"},
            "guidance": {"kind": "classifier_free", "sample": 2.0},
            "resolution": {"side": 32, "multiple": 4, "aspects": [1.85, 1.0]},
            "max_prompt_tokens": 24,
            "dtype": "float32",
            "trained_here": trained_here,
        }
    )


class KilledError(Exception):
    """Stands for a kill."""


def killed_at(run: PartRun, step: int) -> PartRun:
    """The run, killed when it shows what it can do at a step."""

    def show(at: int, image: Image.Image) -> None:
        if at == step:
            raise KilledError

    return replace(run, show=show)


def assert_it_learns(lesson: Lesson, part: PartTraining, run: PartRun) -> None:
    """Its training takes the loss, on numbers of its own, clearly down."""

    def loss() -> float:
        losses = []
        for n in range(8):
            with torch.no_grad(), autocast(part, run.device), seeded("measured", n):
                losses.append(float(lesson.loss(n)))
        return float(np.mean(losses))

    before = loss()
    run.train(lesson, part, title="test", seed=0)
    assert loss() < 0.85 * before


def with_data(run: PartRun, base: Base) -> PartRun:
    """The run, once the files are there that the base is trained on."""
    return replace(run, data=data_fingerprint(trained_here(base).data, root=run.root, cache=run.cache))


def run_in(folder: Path, **parts: Path) -> tuple[PartRun, list[int]]:
    """A making in `folder`, and the steps at which it showed something."""
    shown: list[int] = []

    def show(step: int, image: Image.Image) -> None:
        image.save(folder / f"{step}.png")
        shown.append(step)

    (folder / "out").mkdir(parents=True, exist_ok=True)
    return PartRun(
        out=folder / "out",
        work=folder / "work",
        root=folder,
        cache=folder / "cache",
        data=data_fingerprint(DrawnScenes(kind="drawn_scenes", pictures=1), root=folder, cache=folder),
        token=None,
        device="cpu",
        progress=Silent(),
        show=show,
        parts=parts,
    ), shown
