"""A small but complete set of inputs of a model card, for the tests of this folder."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import load_file, save_file

from director_diffusion.captions.rows import Caption
from director_diffusion.catalog import load_catalog
from director_diffusion.evaluation.types import (
    ArmSet,
    Effect,
    Evaluation,
    Finding,
    Memorisation,
    Metric,
    Outcome,
    Pair,
    Score,
    Verdict,
)
from director_diffusion.packages import package_versions
from director_diffusion.publishing.inputs import (
    CardInputs,
    Grid,
    Picture,
    Training,
    count_data,
    hashes_of,
    repo_id_of,
)
from director_diffusion.publishing.making import StageMade
from director_diffusion.sampling.rows import ARMS
from director_diffusion.specs import (
    AdamW,
    Director,
    Embedder,
    EvaluationPlan,
    FolderSource,
    Guidance,
    ImageEncoder,
    LoraAdapter,
    Margins,
    Prompt,
    Recipe,
)
from director_diffusion.stills.rows import Still
from director_diffusion.training.rows import CurvePoint

NOLAN = Director(
    slug="nolan", name="Christopher Nolan", trigger="nolan style", stills_licence="Drawn by this project (Apache-2.0)."
)
MINI = load_catalog(Path(__file__).parents[2] / "configs").bases["mini"]
BASE = MINI.model_copy(update={"guidance": Guidance(kind="classifier_free", sample=2.0)})
RECIPE = Recipe(
    slug="mini_lora",
    base="mini",
    adapter=LoraAdapter(kind="lora", rank=8, alpha=8),
    optimizer=AdamW(lr=2e-3),
    steps=200,
    checkpoint_every=50,
)
PLAN = EvaluationPlan(
    slug="mini",
    prompts=tuple(
        Prompt(text=f"{count} cars on a street", subject="car", novel=count in ("three", "four"))
        for count in ("one", "two", "three", "four")
    ),
    seeds=(11,),
    embedder=Embedder(model="mini", source=FolderSource(kind="folder", folder="models/mini/embedder")),
    encoder=ImageEncoder(model="mini", source=FolderSource(kind="folder", folder="models/mini/style_encoder")),
    margins=Margins(style=0.1, prompt=0.05, memorised=0.7),
)
JUDGED: tuple[Metric, ...] = ("prompt", "encoder")
METRICS: tuple[Metric, ...] = (*JUDGED, "clip", "question", "colour", "luma", "contrast", "framing", "aesthetic")
EFFECTS = tuple(
    Effect(
        metric=metric,
        against=against,
        part=part,
        mean=0.031 + 0.001 * place,
        low=0.011,
        high=0.052 + 0.001 * place,
        n=4 if part == "all" else 2,
        seeds=1,
        confidence=0.95,
        interval="studentised",
        error=0.01,
        stills_error=0.02 if metric == "encoder" else None,
    )
    for place, (metric, against, part) in enumerate(
        (metric, against, part)
        for metric in METRICS
        for against in ("base", "base_in_style")
        for part in ("all", "own", "novel")
    )
)
FILM, FILE, CAPTION = "secret_film", "secret-frame", "a secret caption"
"""What stands in the stills' tables and must stay there."""


def still(number: int, split: str = "train", film: str = FILM, status: str = "kept") -> Still:
    return Still(
        still=f"5111{number:012x}", film=film, name=f"{FILE}-{number}.jpg", sha256=f"{number:064x}", status=status,
        reason="", warnings=(), split=split, width=8, height=4, crop=(), reference=f"stills/nolan/{film}/{FILE}.jpg",
        file="", phash="0" * 16, cluster=0,
    )  # type: ignore[arg-type]  # fmt: skip


def caption(number: int, source: str = "model", text: str = CAPTION) -> Caption:
    status = "needs_person" if source == "none" else "ok"
    return Caption(
        f"5111{number:012x}", FILM, f"{FILE}-{number}.jpg", "train", "" if source == "none" else text, source, status,
        (), 0, 1,
    )  # type: ignore[arg-type]  # fmt: skip


STILLS = (
    *(still(number) for number in range(4)),
    still(4, "validation", f"{FILM}_2"),
    still(5, "held_out", f"{FILM}_2"),
    still(6, "held_out", f"{FILM}_2"),
    still(7, "none", status="rejected"),
)
CAPTIONS = (caption(0, "person"), *(caption(number) for number in range(1, 6)), caption(6, "none"))
HEADER = {"director": "nolan", "step": "80", "strength": "1", "chosen_by": "held-out loss", "chosen_why": ""}
STAGES = (
    StageMade("stills", "0123456789abcdef", "aa" * 32, "bb" * 8, 1.26),
    StageMade("mini_lora/adapter", "fedcba9876543210", "cc" * 32, "dd" * 8, 19.7),
)


def tell_choice(adapter: Path) -> None:
    """Let a file that diffusers wrote tell what a training's file tells of its step."""
    save_file(load_file(adapter), adapter, HEADER)


def finding(name: str, outcome: Outcome = "pass", bound: float = 0.01) -> Finding:
    return Finding(name, outcome, f"{outcome}: {name} is +0.0310", 0.031, 0.011, 0.052, bound, True, 0.01)


def evaluation(outcome: Outcome = "pass") -> Evaluation:
    """Of four prompts and one seed, whose last question has this outcome."""
    findings = (finding("style_base"), finding("style_base_in_style"), finding("prompt_base", outcome, -0.05))
    return Evaluation(
        tier="release",
        drawing="d",
        scores=tuple(
            Score(arm, prompt, 700 + prompt, metric, 0.5 + prompt / 10, "item")
            for metric in JUDGED
            for arm in ARMS
            for prompt in range(4)
        ),
        effects=EFFECTS,
        findings=findings,
        verdict=Verdict(outcome, tuple(one.reason for one in findings)),
        style="encoder",
        margins=PLAN.margins,
        prompts=4,
        seeds=(11,),
        folds=1,
        held_out=2,
        reference=0.4,
        arms={arm: ArmSet(cmmd=1.5, vendi=3.25, distance=0.125) for arm in ARMS},
        memorisation=Memorisation(threshold=0.9, share=0.25, chance=0.5, nearest=0.95),
        confusion={"adapter": {"nolan": 0.4, "wes_anderson": 0.3}},
        published="",
        notes=("The draft had failed.",),
        pairs=(Pair("cache/x.png", "one", 1, STILLS[0].still, FILM, f"{FILE}-0.jpg", 0.95, beyond=True),),
    )


def card_inputs(tmp_path: Path, outcome: Outcome = "pass") -> CardInputs:
    """Inputs whose adapter file lies in `tmp_path`."""
    adapter = tmp_path / "adapter.safetensors"
    save_file({"transformer.x.lora_A.weight": np.zeros((2, 2), np.float32)}, adapter, HEADER)
    curve = tuple(
        CurvePoint(step, *((None,) * 3 if step == 0 else (1e-3, 0.5 - step / 400, 0.1)), 0.6 - step / 400)
        for step in (0, 40, 80)
    )
    return CardInputs(
        repo_id=repo_id_of("studio", NOLAN, RECIPE),
        director=NOLAN,
        base=BASE,
        recipe=RECIPE,
        plan=PLAN,
        adapter=adapter,
        evaluation=evaluation(outcome),
        sign_off=None,
        counts=count_data(STILLS, CAPTIONS),
        stills=hashes_of(STILLS, CAPTIONS),
        training=Training(80, "held-out loss", 0.4, 0.6, curve),
        grids=(
            Grid(Image.new("RGB", (30, 20), "white"), ("one cars on a street",), novel=False),
            Grid(Image.new("RGB", (30, 20), "grey"), ("three cars on a street",), novel=True),
        ),
        pictures=tuple(Picture(Image.new("RGB", (8, 4), "red"), f"nolan style, {n} cars", 11) for n in ("one", "two")),
        stages=STAGES,
        device="cpu",
        base_fingerprint="base-content",
        drawn_with_fingerprint="base-content",
        versions={"stills": "stills-version", "captions": "captions-version"},
        packages=package_versions(),
    )


def with_base(card: CardInputs, **changes: object) -> CardInputs:
    """The same of another base."""
    return replace(card, base=card.base.model_copy(update=changes))
