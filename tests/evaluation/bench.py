"""What an evaluation needs, made small: pictures of one colour and noise, judged by the shipped encoders."""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from director_diffusion.evaluation.earlier import Before
from director_diffusion.evaluation.encoders.opened import Encoders, open_encoders
from director_diffusion.evaluation.evaluate import evaluate
from director_diffusion.evaluation.material import Material
from director_diffusion.evaluation.types import Evaluation
from director_diffusion.hashing import hash_bytes
from director_diffusion.progress import Silent
from director_diffusion.sampling.images import png_bytes
from director_diffusion.sampling.prompts import arm_prompt, noise_seed
from director_diffusion.sampling.rows import ARMS, FOLD_ARMS, Sample
from director_diffusion.specs import Captioner, Director, EvaluationPlan, FolderSource
from director_diffusion.stills.rows import Still
from director_diffusion.stills.still_set import StillSet
from director_diffusion.storage import Store

ROOT = Path(__file__).parents[2]
DIRECTOR = Director(slug="nolan", name="Nolan", trigger="nolan film", stills_licence="none")
BLUE, RED, GREEN = (30, 60, 200), (200, 40, 30), (40, 160, 60)
SPLITS = ("held_out", "held_out", "held_out", "validation", *["train"] * 5)

DRAWING = "the plan's sampler"


def plan_of(prompts=8, seeds=(0, 1), **changes) -> EvaluationPlan:
    """A plan whose margins colours can keep: the shipped embedder says what style is."""
    return EvaluationPlan.model_validate(
        {
            "slug": "p",
            "prompts": [
                {"text": f"a house number {i}", "subject": "house", "novel": i >= prompts - 4} for i in range(prompts)
            ],
            "seeds": seeds,
            "embedder": {"model": "mini", "source": {"kind": "folder", "folder": "models/mini/embedder"}},
            "encoder": {"model": "mini", "source": {"kind": "folder", "folder": "models/mini/style_encoder"}},
            "style_by": "embedder",
            "memorised_by": "embedder",
            "margins": {"style": 0.1, "prompt": 0.5, "memorised": 0.9, "diversity": 0.01},
            "resamples": 500,
            **changes,
        }
    )


def picture(colour, seed):
    """A noisy picture of mostly one colour."""
    noise = np.random.default_rng(seed).integers(-25, 26, size=(48, 88, 3))
    return Image.fromarray((np.array(colour) + noise).clip(0, 255).astype(np.uint8))


def known(*stills):
    """What an adapter knows of stills, by their own split."""
    return {still.still: still.split for some in stills for still in some}


@dataclass
class Models:
    """The models of this checkout; `loaded` are those that were asked for."""

    root: Path = ROOT
    marks: str = ""
    loaded: list[str] = field(default_factory=list)

    def folder(self, source):
        self.loaded.append(source.folder)
        return self.root / source.folder

    def fingerprint(self, source):
        return source.folder + self.marks


class Bench:
    """A store with stills, blue held-out and red training ones, and samples in any colours."""

    def __init__(self, folder: Path):
        self.folder, self.store = folder, Store(str(folder / "store"))
        self.models = Models()
        self.stills = self._stills()

    def _stills(self) -> StillSet:
        images = self.folder / "stills" / "images"
        images.mkdir(parents=True)
        rows = []
        for number, split in enumerate(SPLITS):
            picture(RED if split == "train" else BLUE, 100 + number).save(images / f"{number}.png")
            file = {"file": f"images/{number}.png", "reference": "", "crop": (), "sha256": "", "phash": ""}
            shown = {"width": 88, "height": 48, "status": "kept", "reason": "", "warnings": ()}
            name = {"still": f"still-{number}", "film": "film", "name": f"{number}.png", "cluster": number}
            rows.append(Still(**name, **file, **shown, split=split))
        return StillSet(rows, self.store, self.folder / "stills")

    def draw(self, plan: EvaluationPlan, *, arms=ARMS, salt=0, copied=(), **colours) -> tuple[Sample, ...]:
        """Samples of `plan`, by arm in these colours; the adapter's first are `copied` training stills."""
        samples, copies = [], list(copied)
        for arm in arms:
            for index, prompt in enumerate(plan.prompts):
                for seed in plan.seeds:
                    if arm == "adapter" and copies:
                        image = self.stills.open(copies.pop(0))
                    else:
                        image = picture(colours[arm], [(*ARMS, *FOLD_ARMS).index(arm), index, seed, salt])
                    data = png_bytes(image)
                    name = f"cache/images/test/{hash_bytes(data)}.png"
                    self.store.write(name, data)
                    full = arm_prompt(arm, prompt.text, DIRECTOR)
                    words = (prompt.text, full, prompt.subject, prompt.novel)
                    samples.append(
                        Sample(arm, index, *words, noise_seed(prompt.text, seed), name, name, hash_bytes(data))
                    )
        return tuple(samples)

    def encoders(self, plan: EvaluationPlan, *, fresh="") -> Encoders:
        return open_encoders(
            plan,
            self.models,
            self.store,
            captioner=Captioner(source=FolderSource(kind="folder", folder="models/mini/captioner")),
            asked_at_once=4,
            fresh=fresh,
            device="cpu",
            progress=Silent(),
        )

    def mean_vector(self, plan: EvaluationPlan, stills):
        """What the plan's embedder sees of stills, on average."""
        opened = {still.still: partial(self.stills.open, still) for still in stills}
        vectors = self.encoders(plan).embedder.images(opened, title="Embedding", progress=Silent())
        return np.mean(list(vectors.values()), axis=0)

    def judge(
        self,
        plan: EvaluationPlan,
        samples,
        *,
        tier="draft",
        rivals=None,
        before: Before | None = None,
        fresh="",
        **more,
    ) -> Evaluation:
        """Evaluate into the folder `out`."""
        stills = more.pop("stills", self.stills)
        learned = more.pop("learned", {"adapter": known(stills.train, stills.validation)})
        material = Material(tuple(samples), learned, DRAWING, stills, rivals or {}, before, **more)
        out = self.folder / "out"
        out.mkdir(exist_ok=True)
        return evaluate(
            material,
            plan,
            tier,
            DIRECTOR,
            self.encoders(plan, fresh=fresh),
            store=self.store,
            out=out,
            progress=Silent(),
        )


def outcomes(evaluation: Evaluation) -> dict[str, str]:
    """Answers by question."""
    return {finding.name: finding.outcome for finding in evaluation.findings}
