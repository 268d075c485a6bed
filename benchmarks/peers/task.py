"""The task: one training, in figures that both sides understand.

Belongs here: plain data and the folder it lies in.  Imports nothing heavy.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Self

Family = Literal["flux", "sdxl"]
Preset = Literal["attention", "all_block_linears"]

TRIGGER = "in the style of the bench"
TASK, TARGETS, CAPTIONS = "task.json", "targets.json", "captions.json"
WEIGHTS = "pytorch_lora_weights.safetensors"


@dataclass(frozen=True)
class Task:
    """Pictures, base and settings of one training.  Pictures are square, so that nothing is cropped on either side."""

    folder: str  # holds the files below, and `train/` and `held_out/` with PNG files
    model: str  # the base's folder, in diffusers' layout
    family: Family
    preset: Preset
    side: int  # pixels
    train: int  # pictures
    held_out: int
    captioned: bool  # else the trigger is every picture's prompt
    max_tokens: int
    guidance: float  # embedded; of no meaning to bases without it
    steps: int
    warmup_steps: int
    batch_size: int
    rank: int
    lr: float
    weight_decay: float
    beta2: float
    precision: Literal["float32", "bfloat16"]
    compiled: bool  # ours alone: theirs cannot
    device: Literal["cpu", "cuda"]

    def write(self) -> Path:
        path = Path(self.folder) / TASK
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")
        return path

    @classmethod
    def read(cls, path: Path) -> Self:
        return cls(**json.loads(path.read_text(encoding="utf-8")))

    def targets(self) -> list[str]:
        """Names of the linears that carry the adapter, as `prepare` found them."""
        return list(json.loads((Path(self.folder) / TARGETS).read_text(encoding="utf-8")))

    def captions(self) -> dict[str, dict[str, str]]:
        """What each picture shows, by split and file name; without the trigger."""
        return dict(json.loads((Path(self.folder) / CAPTIONS).read_text(encoding="utf-8")))
