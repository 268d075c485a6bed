"""A small but complete set of inputs of a model card, for the tests of this folder."""

from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import load_file, save_file

from director_diffusion.evaluation.types import METRICS, OTHER_ARMS, Effect, Evaluation, Score, Verdict
from director_diffusion.packages import package_versions
from director_diffusion.publishing.inputs import CardInputs, DataCounts, Picture, repo_id_of
from director_diffusion.sampling.rows import ARMS
from director_diffusion.specs import (
    AdamW,
    Base,
    Director,
    Embedder,
    EvaluationPlan,
    FolderSource,
    Guidance,
    Licence,
    LoraAdapter,
    Margins,
    Prompt,
    Recipe,
    Resolution,
)

NOLAN = Director(
    slug="nolan", name="Christopher Nolan", trigger="nolan style", stills_licence="Drawn by this project (Apache-2.0)."
)
BASE = Base(
    slug="mini",
    name="mini (drawn scenes)",
    family="flux",
    source=FolderSource(kind="folder", folder="models/mini/base"),
    model_id="director-diffusion/mini",
    licence=Licence(id="apache-2.0"),
    guidance=Guidance(kind="classifier_free", sample=2.0),
    resolution=Resolution(side=64, multiple=8),
    max_prompt_tokens=48,
    dtype="float32",
)
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
    prompts=tuple(Prompt(text=f"{count} cars on a street", subject="car") for count in ("one", "two", "three", "four")),
    seeds=(11,),
    embedder=Embedder(model="mini", source=FolderSource(kind="folder", folder="models/mini/embedder")),
    margins=Margins(style=0.0, prompt=0.05),
)
EFFECTS = tuple(
    Effect(metric, against, 0.031 + 0.001 * place, 0.011, 0.052, 4, 0.95, "studentised")
    for place, (metric, against) in enumerate((metric, against) for metric in METRICS for against in OTHER_ARMS)
)


HEADER = {"director": "nolan", "step": "80", "strength": "1", "chosen_by": "held-out loss", "chosen_why": ""}


def tell_choice(adapter: Path) -> None:
    """Let a file that diffusers wrote tell what a training's file tells of its step."""
    save_file(load_file(adapter), adapter, HEADER)


def verdict(outcome: str) -> Verdict:
    return Verdict(outcome, ("pass: style closeness clears its bound", f"{outcome}: prompt fidelity"))  # type: ignore[arg-type]


def card_inputs(tmp_path: Path, outcome: str = "pass") -> CardInputs:
    """Inputs whose adapter file lies in `tmp_path`."""
    adapter = tmp_path / "adapter.safetensors"
    save_file({"transformer.x.lora_A.weight": np.zeros((2, 2), np.float32)}, adapter, HEADER)
    scores = tuple(Score(arm, prompt, 11, 0.2, 0.5 + prompt / 10, "item") for arm in ARMS for prompt in range(4))
    return CardInputs(
        repo_id=repo_id_of("studio", NOLAN, RECIPE),
        director=NOLAN,
        base=BASE,
        recipe=RECIPE,
        plan=PLAN,
        adapter=adapter,
        evaluation=Evaluation(scores, EFFECTS, verdict(outcome), PLAN.margins, 4, 1, 6),
        counts=DataCounts(4, 30, 24, 6, 6, 15, 12, 3),
        grid=Image.new("RGB", (30, 20), "white"),
        pictures=tuple(Picture(Image.new("RGB", (8, 4), "red"), f"nolan style, {n} cars", 11) for n in ("one", "two")),
        base_fingerprint="base-content",
        drawn_with_fingerprint="base-content",
        versions={"stills": "stills-version", "captions": "captions-version"},
        packages=package_versions(),
    )
