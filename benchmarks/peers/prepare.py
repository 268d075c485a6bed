"""Prepare a task: draw its pictures, and find which linears carry the adapter.  A process of its own.

    python -m benchmarks.peers.prepare TASK_FILE

Pictures are drawn scenes in one style, with what they show as their captions.  `train/metadata.jsonl` says the same
as `captions.json` in the way that `datasets` reads a folder of images.
"""

import json
import sys
from pathlib import Path

import diffusers
import numpy as np
import torch

from benchmarks.peers.task import CAPTIONS, TARGETS, TRIGGER, Task
from director_diffusion.captions.prompt import join_prompt
from director_diffusion.families import get_family
from director_diffusion.scenes.captions import describe
from director_diffusion.scenes.drawing import draw
from director_diffusion.scenes.scene import sample_scene
from director_diffusion.scenes.style import STYLES

DRAWN_LARGER = 3  # drawn so many times larger, then averaged down
STYLE = "nolan"


def draw_split(folder: Path, count: int, *, first: int, side: int) -> dict[str, str]:
    """Draw `count` pictures, of which number `first` is the first; their captions by file name."""
    folder.mkdir(parents=True)
    captions = {}
    for number in range(first, first + count):
        rng = np.random.default_rng((0, number))
        scene = sample_scene(rng)
        large = draw(scene, STYLES[STYLE], side * DRAWN_LARGER, side * DRAWN_LARGER, rng)
        large.reduce(DRAWN_LARGER).save(folder / f"{number:04}.png")
        captions[f"{number:04}.png"] = describe(scene)
    return captions


def main(path: Path) -> None:
    task = Task.read(path)
    folder = Path(task.folder)
    captions = {
        "train": draw_split(folder / "train", task.train, first=0, side=task.side),
        "held_out": draw_split(folder / "held_out", task.held_out, first=task.train, side=task.side),
    }
    (folder / CAPTIONS).write_text(json.dumps(captions, indent=1), encoding="utf-8")
    if task.captioned:
        rows = [{"file_name": name, "text": join_prompt(TRIGGER, text)} for name, text in captions["train"].items()]
        lines = "".join(f"{json.dumps(row)}\n" for row in rows)
        (folder / "train" / "metadata.jsonl").write_text(lines, encoding="utf-8")
    family = get_family(task.family)
    config = json.loads((Path(task.model) / family.role / "config.json").read_text(encoding="utf-8"))
    with torch.device("meta"):  # names are all that is asked
        denoiser = getattr(diffusers, config["_class_name"]).from_config(config)
    (folder / TARGETS).write_text(json.dumps(family.target_modules(denoiser, task.preset)), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
