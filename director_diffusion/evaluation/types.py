"""What an evaluation says.

Belongs here: scores, effects and the verdict as plain data, and their files (`scores.parquet`, `effects.json`,
`verdict.json`).  How they are computed lives in `scores`, `bootstrap` and `verdict`.  Imports no torch.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from director_diffusion.sampling.rows import Arm
from director_diffusion.specs import Margins
from director_diffusion.tables import read_table, write_table

Metric = Literal["style", "prompt"]
OtherArm = Literal["base", "base_in_style"]
METRICS: tuple[Metric, ...] = ("style", "prompt")
METRIC_NAMES: dict[Metric, str] = {"style": "Style closeness (CLIP-I)", "prompt": "Prompt fidelity (CLIP-T)"}
OTHER_ARMS: tuple[OtherArm, ...] = ("base", "base_in_style")

EMBEDDING_VERSION = 1  # raise it when the same image or text would give another vector

SCORES_FILE, EFFECTS_FILE, VERDICT_FILE = "scores.parquet", "effects.json", "verdict.json"


@dataclass(frozen=True)
class Score:
    """Scores of one sample, on the embedder's cosine scale."""

    arm: Arm
    prompt_index: int
    seed: int
    prompt_fidelity: float
    style_closeness: float
    item: str  # of the sample


@dataclass(frozen=True)
class Effect:
    """Adapter minus another arm: the mean paired difference over prompts and its two-sided interval.

    `interval` says how the interval came about (`bootstrap.Interval.kind`).
    """

    metric: Metric
    against: OtherArm
    mean: float
    low: float
    high: float
    n: int  # prompts
    confidence: float
    interval: Literal["studentised", "student_t", "point"]


@dataclass(frozen=True)
class Verdict:
    """What the plan's margins make of the effects; one reason per effect, in words and numbers."""

    outcome: Literal["pass", "fail", "undecided"]
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Evaluation:
    """All that is said about one adapter under one plan."""

    scores: tuple[Score, ...]
    effects: tuple[Effect, ...]
    verdict: Verdict
    margins: Margins
    prompts: int
    seeds: int
    held_out: int  # stills that style closeness was measured to

    def effect(self, metric: Metric, against: OtherArm) -> Effect:
        return next(effect for effect in self.effects if (effect.metric, effect.against) == (metric, against))

    def write(self, folder: Path) -> None:
        """Write the three files.  The bytes depend on the evaluation alone."""
        write_table(folder / SCORES_FILE, Score, self.scores)
        _write_json(
            folder / EFFECTS_FILE,
            {
                "effects": [asdict(effect) for effect in self.effects],
                "margins": self.margins.model_dump(),
                "prompts": self.prompts,
                "seeds": self.seeds,
                "held_out": self.held_out,
            },
        )
        _write_json(folder / VERDICT_FILE, asdict(self.verdict))

    @classmethod
    def read(cls, folder: Path) -> "Evaluation":
        """Read what `write` wrote."""
        data = json.loads((folder / EFFECTS_FILE).read_text(encoding="utf-8"))
        return cls(
            scores=tuple(read_table(folder / SCORES_FILE, Score)),
            effects=effects_from(data),
            verdict=verdict_from(json.loads((folder / VERDICT_FILE).read_text(encoding="utf-8"))),
            margins=Margins.model_validate(data["margins"]),
            prompts=data["prompts"],
            seeds=data["seeds"],
            held_out=data["held_out"],
        )


def effects_from(data: Mapping[str, Any]) -> tuple[Effect, ...]:
    """The effects in the parsed content of `effects.json`."""
    return tuple(Effect(**effect) for effect in data["effects"])


def verdict_from(data: Mapping[str, Any]) -> Verdict:
    """The verdict in the parsed content of `verdict.json`."""
    return Verdict(outcome=data["outcome"], reasons=tuple(data["reasons"]))


def _write_json(path: Path, data: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
