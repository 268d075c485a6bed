"""What an evaluation says.

Belongs here: scores, effects, findings and the verdict as plain data, and their files.  How they are computed lives in
`effects`, `claims` and `verdict`.  Imports no torch.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from director_diffusion.evaluation.statistics.interval import Kind
from director_diffusion.sampling.rows import Arm
from director_diffusion.specs import EvaluationPlan, Margins, Tier
from director_diffusion.tables import read_table, write_table

Metric = Literal[
    "prompt", "question", "clip", "encoder", "projection", "colour", "luma", "contrast", "framing", "aesthetic"
]
OtherArm = Literal["base", "base_in_style", "published"]
Part = Literal["all", "own", "novel"]
Outcome = Literal["pass", "fail", "undecided"]

METRIC_NAMES: dict[Metric, str] = {
    "prompt": "Prompt fidelity (CLIP-T)",
    "question": "Prompt fidelity by yes or no (VQAScore)",
    "clip": "Closeness to held-out stills (CLIP-I)",
    "encoder": "Closeness to held-out stills (image encoder, DINO-I)",
    "projection": "Closeness to held-out stills (CSD)",
    "colour": "Distance of colours (CIELAB, sliced Wasserstein)",
    "luma": "Distance of mean luma",
    "contrast": "Distance of contrast",
    "framing": "Distance of where edges stand",
    "aesthetic": "Aesthetic head (a secondary taste)",
}
DISTANCES: tuple[Metric, ...] = ("colour", "luma", "contrast", "framing")
"""Metrics of which less is nearer to the director."""

STYLE_METRICS: dict[str, Metric] = {"embedder": "clip", "encoder": "encoder", "style_projection": "projection"}
"""By the plan's `style_by`."""

SCORES_FILE, EFFECTS_FILE, VERDICT_FILE = "scores.parquet", "effects.json", "verdict.json"
PAIRS_FILE = "nearest_stills.parquet"
"""Names stills: it stays in the store."""


@dataclass(frozen=True)
class Score:
    """One metric of one sample."""

    arm: Arm
    prompt_index: int
    seed: int
    metric: Metric
    value: float
    item: str  # of the sample


@dataclass(frozen=True)
class Pair:
    """A picture of the adapter and the training still nearest to it."""

    reference: str  # the store's name of the picture
    prompt: str
    seed: int
    still: str
    film: str
    name: str  # the still's file
    similarity: float
    beyond: bool  # the threshold


@dataclass(frozen=True)
class Effect:
    """Adapter minus another arm: the mean paired difference over prompts and its two-sided interval.

    `interval` says how the interval came about (`bootstrap.Interval.kind`).  `stills_error` is the standard error that
    the choice of held-out stills adds, for closeness to them: the interval takes the stills as given.
    """

    metric: Metric
    against: OtherArm
    part: Part  # of the prompts
    mean: float
    low: float
    high: float
    n: int  # prompts
    seeds: int
    confidence: float
    interval: Kind
    error: float  # standard error over prompts
    stills_error: float | None

    @property
    def detectable(self) -> float:
        """The effect that such a comparison tells from none in four of five trials, over prompts like these."""
        return POWERED * self.error

    @property
    def detectable_over_stills(self) -> float | None:
        """The same over prompts and held-out stills like these."""
        return None if self.stills_error is None else POWERED * float((self.error**2 + self.stills_error**2) ** 0.5)


POWERED = 1.96 + 0.84
"""Standard errors that an effect must have to be found at 5 %, two-sided, with a power of 80 %."""


@dataclass(frozen=True)
class Finding:
    """One question of the verdict, and its answer."""

    name: str
    outcome: Outcome
    reason: str  # in words and numbers
    value: float
    low: float
    high: float
    bound: float
    above: bool  # whether the value is to lie above the bound
    p: float  # adjusted: against the claim where it failed or need not be shown, else for it


@dataclass(frozen=True)
class Verdict:
    """What the plan's margins make of the scores; one reason per question, in words and numbers."""

    outcome: Outcome
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class ArmSet:
    """What is said of all pictures of an arm together."""

    cmmd: float  # to the held-out stills, × 1000, unbiased
    vendi: float
    distance: float  # mean, between pictures


@dataclass(frozen=True)
class Memorisation:
    """How near pictures of the adapter come to training stills."""

    threshold: float  # cosine: the training stills' own 99th percentile
    share: float  # of the pictures beyond it
    chance: float  # of the held-out stills beyond it
    nearest: float  # the largest cosine


@dataclass(frozen=True)
class Evaluation:
    """All that is said about one adapter by one tier of a plan."""

    tier: Tier
    drawing: str  # names how pictures were drawn, but for adapter, prompts and noise
    scores: tuple[Score, ...]
    effects: tuple[Effect, ...]
    findings: tuple[Finding, ...]
    verdict: Verdict
    style: Metric  # whose closeness the verdict calls style
    margins: Margins
    prompts: int
    seeds: tuple[int, ...]
    folds: int  # so many adapters stood for this one where closeness to stills was measured; 1 is itself
    held_out: int  # stills that closeness was measured to, of all folds
    reference: float  # lower quartile of the training stills' closeness to the held-out ones
    arms: Mapping[str, ArmSet]
    memorisation: Memorisation
    confusion: Mapping[str, Mapping[str, float]]  # closeness of each arm's pictures to each director's held-out stills
    published: str  # the version compared with, or ""
    lacking: Mapping[str, str] = field(default_factory=dict)  # what the verdict wanted to know and could not, by check
    notes: tuple[str, ...] = ()
    pairs: tuple[Pair, ...] = field(default=(), repr=False)

    def effect(self, metric: Metric, against: OtherArm, part: Part = "all") -> Effect:
        return next(one for one in self.effects if (one.metric, one.against, one.part) == (metric, against, part))

    def write(self, folder: Path) -> None:
        """Write the files.  The bytes depend on the evaluation alone."""
        write_table(folder / SCORES_FILE, Score, self.scores)
        write_table(folder / PAIRS_FILE, Pair, self.pairs)
        _write_json(folder / EFFECTS_FILE, self.told())
        _write_json(folder / VERDICT_FILE, asdict(self.verdict))

    def told(self) -> dict[str, Any]:
        """All but scores, pairs and verdict, as plain data."""
        return {
            "tier": self.tier,
            "drawing": self.drawing,
            "effects": [asdict(effect) for effect in self.effects],
            "findings": [asdict(finding) for finding in self.findings],
            "style": self.style,
            "margins": self.margins.model_dump(),
            "prompts": self.prompts,
            "seeds": list(self.seeds),
            "folds": self.folds,
            "held_out": self.held_out,
            "reference": self.reference,
            "arms": {arm: asdict(one) for arm, one in self.arms.items()},
            "memorisation": asdict(self.memorisation),
            "confusion": {arm: dict(row) for arm, row in self.confusion.items()},
            "published": self.published,
            "lacking": dict(self.lacking),
            "notes": list(self.notes),
        }

    @classmethod
    def read(cls, folder: Path) -> "Evaluation":
        """Read what `write` wrote."""
        data = json.loads((folder / EFFECTS_FILE).read_text(encoding="utf-8"))
        return cls(
            scores=tuple(read_table(folder / SCORES_FILE, Score)),
            pairs=tuple(read_table(folder / PAIRS_FILE, Pair)),
            verdict=verdict_from(json.loads((folder / VERDICT_FILE).read_text(encoding="utf-8"))),
            **{
                **data,
                "effects": effects_from(data),
                "findings": tuple(Finding(**finding) for finding in data["findings"]),
                "margins": Margins.model_validate(data["margins"]),
                "seeds": tuple(data["seeds"]),
                "arms": {arm: ArmSet(**one) for arm, one in data["arms"].items()},
                "memorisation": Memorisation(**data["memorisation"]),
                "notes": tuple(data["notes"]),
            },
        )


def style_metric(plan: EvaluationPlan) -> Metric:
    """The closeness that the plan calls style."""
    return STYLE_METRICS[plan.style_by]


def effects_from(data: Mapping[str, Any]) -> tuple[Effect, ...]:
    """The effects in the parsed content of `effects.json`."""
    return tuple(Effect(**effect) for effect in data["effects"])


def verdict_from(data: Mapping[str, Any]) -> Verdict:
    """The verdict in the parsed content of `verdict.json`."""
    return Verdict(outcome=data["outcome"], reasons=tuple(data["reasons"]))


def _write_json(path: Path, data: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
