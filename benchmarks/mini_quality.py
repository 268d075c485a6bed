"""What the shipped mini set has learned, and what the demo makes of it: every bar of the mini studio in one table.

    python -m benchmarks.mini_quality [--json] [--mnist FOLDER]

Runs the demo for all directors in a store and home of its own first (its time is a bar), and reads everything else from
what it made and from the model folders, through the project's own captioner, embedder and painter.  `--mnist` is a
trained `mnist` base (`director build-base mnist --export FOLDER`); without it the digits' bar is missed.  Takes about
ten minutes on two cores.  Exit code 1 where a bar is missed.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.bars import above, at_least, at_most, print_report
from benchmarks.mnist_quality import judge_folder, read_as_asked
from director_diffusion.captions.prompt import build_instruction
from director_diffusion.captions.qwen import QwenCaptioner
from director_diffusion.captions.rows import FILE as CAPTIONS_FILE
from director_diffusion.captions.rows import Caption
from director_diffusion.catalog import Catalog, load_catalog
from director_diffusion.evaluation.encoders.base import Vectors
from director_diffusion.evaluation.encoders.embedder import ClipEmbedder
from director_diffusion.evaluation.metrics.similarity import closeness
from director_diffusion.evaluation.types import EFFECTS_FILE, VERDICT_FILE
from director_diffusion.families import get_family
from director_diffusion.latents.buckets import Bucket, buckets
from director_diffusion.latents.pixels import psnr, to_tensor
from director_diffusion.latents.rows import FILE as LATENTS_FILE
from director_diffusion.latents.rows import LatentRow
from director_diffusion.pretraining.drawn import Picture, drawn_pictures
from director_diffusion.pretraining.specs import DrawnScenes
from director_diffusion.progress import Silent
from director_diffusion.sampling.images import open_sample
from director_diffusion.sampling.rows import FILE as SAMPLES_FILE
from director_diffusion.sampling.rows import Sample
from director_diffusion.sampling.samplers import plan_sampler
from director_diffusion.scenes.placeholders import placeholder_scene
from director_diffusion.scenes.reading import share_right
from director_diffusion.scenes.scene import Scene
from director_diffusion.specs import CaptionRules, FolderSource, Project
from director_diffusion.stills.still_set import StillSet
from director_diffusion.storage import Artifact, Store
from director_diffusion.storage.artifact import latest_artifact

ROOT = Path(__file__).resolve().parent.parent
RECIPE, PLAN, BASE = "mini_lora", "mini", "mini"
SCENES, SET, BATCH = 512, 64, 32
STEPS = 20
PSNR_DB, TOP_1, SCENES_RIGHT, STILLS_RIGHT, STILLS_A_SECOND = 28.0, 0.70, 0.85, 0.75, 60.0
DRAWN_RIGHT, OF_REAL_TOP_1, TRAIN_S, DEMO_S = 0.70, 0.80, 30.0, 360.0

Bar = dict[str, Any]


def run_demo(folder: Path) -> float:
    """Wall seconds of `director run` for every demo director, from an empty store."""
    places = {"DIRECTOR_STORE": "store", "DAGSTER_HOME": "home", "XDG_CACHE_HOME": "cache"}
    environment = os.environ | {name: str(folder / place) for name, place in places.items()}
    environment |= {"DIRECTOR_PROJECT": "demo", "DIRECTOR_CONFIGS": str(ROOT / "configs")}
    started = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "pipelines.cli.main", "run", "--json"], env=environment, check=True, stdout=sys.stderr
    )
    return time.monotonic() - started


class Models:
    """The demo's models, loaded as its stages load them."""

    def __init__(self, catalog: Catalog, project: Project):
        self.base, self.plan, self.project = catalog.bases[BASE], catalog.evaluations[PLAN], project
        self.family, self.folder = get_family(self.base.family), _folder(self.base.source)
        self.codec = self.family.load_codec(self.folder, device="cpu")
        self.captioner = QwenCaptioner(_folder(project.captioner.source), project.captioner, "cpu")
        self.embedder = ClipEmbedder(_folder(self.plan.embedder.source), self.plan.embedder, device="cpu")

    def captions(self, images: Sequence[Image.Image]) -> list[str]:
        instruction = build_instruction(CaptionRules())
        return [
            answer.text
            for part in _batches(images)
            for answer in self.captioner.answer(part, [instruction] * len(part))
        ]

    def vectors(self, images: Sequence[Image.Image]) -> Vectors:
        return np.concatenate([self.embedder.images(part) for part in _batches(images)])

    def psnr(self, image: Image.Image) -> float:
        """Of the picture given back, in dB."""
        pixels = to_tensor(image)[None]
        return psnr(pixels, self.codec.decode(self.codec.encode(pixels)[0]))


def _folder(source: object) -> Path:
    assert isinstance(source, FolderSource), "the demo's models are shipped as folders"
    return ROOT / source.folder


def _batches(items: Sequence[Image.Image]) -> list[Sequence[Image.Image]]:
    return [items[start : start + BATCH] for start in range(0, len(items), BATCH)]


def right(texts: Sequence[str], scenes: Sequence[Scene]) -> dict[str, float]:
    """Share of the scenes' attributes that the texts say right, by attribute, and their mean."""
    shares = share_right(zip(texts, scenes, strict=True))
    return {**shares, "mean": float(np.mean(list(shares.values())))}


def top_1(images: Vectors, texts: Vectors) -> float:
    """Share of pictures whose own words are nearest among `SET`, and of words whose own picture is, over all sets."""
    found = []
    for start in range(0, len(images) - SET + 1, SET):
        cosines = images[start : start + SET] @ texts[start : start + SET].T
        own = np.arange(SET)
        found += [(cosines.argmax(axis=1) == own).mean(), (cosines.argmax(axis=0) == own).mean()]
    return float(np.mean(found))


def held_out(models: Models, styled_share: float, shapes: Sequence[Bucket] = ()) -> list[Picture]:
    """Pictures that no part was trained on, in all shapes of the base unless told."""
    spec, resolution = models.base.trained_here, models.base.resolution
    assert spec is not None
    assert isinstance(spec.data, DrawnScenes)
    shapes = shapes or buckets(resolution.side, resolution.multiple, resolution.aspects)
    numbers = {"seed": spec.seed, "start": spec.data.pictures}
    return list(drawn_pictures(SCENES, shapes, styled_share=styled_share, progress=Silent(), **numbers))


def judge_models(models: Models, details: dict[str, Any]) -> list[Bar]:
    """VAE, embedder, captioner and base on held-out scenes."""
    styled, plain = held_out(models, 0.5), held_out(models, 0.0)
    words = models.embedder.texts
    decibels = [models.psnr(picture.small()) for picture in styled]
    details["psnr_scenes_db"] = {"mean": float(np.mean(decibels)), "5th percentile": float(np.percentile(decibels, 5))}
    bars = [at_least("VAE on held-out scenes, PSNR in dB", float(np.mean(decibels)), PSNR_DB)]

    found = top_1(models.vectors([picture.image for picture in styled]), words([picture.prompt for picture in styled]))
    bars.append(at_least(f"open_clip, top-1 of {SET} held-out scenes", found, TOP_1))

    scenes = [picture.scene for picture in plain]
    details["captioner_scenes"] = said = right(models.captions([picture.image for picture in plain]), scenes)
    bars.append(at_least("captioner, attributes of held-out scenes in no style", said["mean"], SCENES_RIGHT))
    texts = models.captions([picture.image for picture in styled])
    details["captioner_half_of_them_styled"] = right(texts, [picture.scene for picture in styled])
    return bars + judge_base(models, details)


def judge_base(models: Models, details: dict[str, Any]) -> list[Bar]:
    """What the base draws for held-out scenes' words, beside those scenes themselves at the same size."""
    sampler = plan_sampler(models.plan, models.base)
    pictures = held_out(models, 0.0, [Bucket(sampler.width, sampler.height)])
    painter = models.family.load_painter(
        models.folder,
        device="cpu",
        dtype=torch.float32,
        guidance_kind=models.base.guidance.kind,
        max_tokens=models.base.max_prompt_tokens,
    )
    drawn: list[Image.Image] = []
    for start in range(0, len(pictures), BATCH):
        prompts = [picture.content for picture in pictures[start : start + BATCH]]
        sizes = {"width": sampler.width, "height": sampler.height}
        drawn += painter.draw(
            prompts, range(start, start + len(prompts)), steps=STEPS, guidance=sampler.guidance, **sizes
        )
    scenes, real = [picture.scene for picture in pictures], [picture.small() for picture in pictures]
    details["base_attributes"] = said = right(models.captions(drawn), scenes)
    details["real_attributes_at_that_size"] = right(models.captions(real), scenes)
    texts = models.embedder.texts([picture.content for picture in pictures])
    of_drawn, of_real = top_1(models.vectors(drawn), texts), top_1(models.vectors(real), texts)
    details["retrieval"] = {"of drawn pictures": of_drawn, "of real scenes": of_real}
    return [
        at_least(f"base in {STEPS} steps, attributes as asked", said["mean"], DRAWN_RIGHT),
        at_least("base, retrieval against real scenes'", of_drawn / of_real, OF_REAL_TOP_1),
    ]


def judge_demo(models: Models, store: Store, directors: Sequence[str], details: dict[str, Any]) -> list[Bar]:
    """Stills, captions, adapters and evaluations that the demo made."""
    bars, decibels, said, seconds, pace, shown, verdicts = [], {}, {}, {}, {}, {}, {}
    stills: dict[str, Vectors] = {}
    adapters: dict[str, Vectors] = {}
    placeholders = models.project.placeholder_stills
    assert placeholders is not None

    def of(director: str, *key: str) -> Artifact:
        return latest_artifact(store, key, director)

    for director in directors:
        still_set = StillSet.of(of(director, "stills"))
        rows = of(director, BASE, "latents").table(LATENTS_FILE, LatentRow)
        decibels[director] = float(np.mean([row.psnr for row in rows]))
        captions = of(director, "captions").table(CAPTIONS_FILE, Caption)
        scenes = [placeholder_scene(director, c.film, Path(c.name).stem, seed=placeholders.seed) for c in captions]
        said[director] = right([caption.text for caption in captions], scenes)
        started = time.monotonic()
        models.captions([still_set.open(still) for still in still_set.kept])
        pace[director] = len(still_set.kept) / (time.monotonic() - started)
        seconds[director] = of(director, RECIPE, "adapter").manifest.seconds
        samples = of(director, RECIPE, "samples").table(SAMPLES_FILE, Sample)
        adapters[director] = models.vectors([open_sample(store, s) for s in samples if s.arm == "adapter"])
        stills[director] = models.vectors([still_set.open(still) for still in still_set.held_out])
        judged = of(director, RECIPE, "release_evaluation")
        told = judged.json(EFFECTS_FILE)
        effects = {(e["metric"], e["against"]): e for e in told["effects"] if e["part"] == "all"}
        shown[director] = {f"{metric} against {arm}": effect for (metric, arm), effect in effects.items()}
        verdicts[director] = judged.json(VERDICT_FILE)["outcome"]
        style = effects[told["style"], "base_in_style"]["low"]
        prompt = min(effects["prompt", arm]["low"] for arm in ("base", "base_in_style"))
        bars.append(above(f"{director}: style effect against base_in_style, lower end", style, 0.0))
        bars.append(above(f"{director}: prompt effect, lower end, worse arm", prompt, -models.plan.margins.prompt))
    counts = {director: len(stills[director]) for director in directors}
    confusion = {
        one: {other: float(closeness(adapters[one], stills[other]).mean()) for other in directors} for one in directors
    }
    own = sum(max(row, key=row.__getitem__) == one for one, row in confusion.items())
    details |= {"psnr_stills_db": decibels, "captioner_stills": said, "adapter_s": seconds, "held_out_stills": counts}
    details |= {"confusion": confusion, "captioned_a_second": pace, "effects": shown}
    details["verdicts"] = verdicts
    return [
        at_least("VAE on stills, PSNR in dB of the worst director", min(decibels.values()), PSNR_DB),
        at_least(
            "captioner, attributes of directors' stills",
            float(np.mean([one["mean"] for one in said.values()])),
            STILLS_RIGHT,
        ),
        at_least("captioner, stills a second", float(np.median(list(pace.values()))), STILLS_A_SECOND),
        at_most("adapter, seconds of the slowest", max(seconds.values()), TRAIN_S),
        *bars,
        at_least("adapters nearest to their own director's stills", own, len(directors)),
    ]


def judge_digits(folder: Path | None) -> list[Bar]:
    """`benchmarks.mnist_quality` says how; without a trained base the bar is missed."""
    return [read_as_asked(None)] if folder is None else list(judge_folder(folder)["bars"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--mnist", type=Path, help="folder of a trained mnist base")
    options = parser.parse_args()
    catalog = load_catalog(ROOT / "configs")
    project = catalog.projects["demo"]
    directors = [director.slug for director in catalog.project_directors(project)]
    details: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="director-bench-") as folder:
        bars = [at_most("demo of all directors, s", run_demo(Path(folder)), DEMO_S)]
        models = Models(catalog, project)
        bars += judge_models(models, details)
        bars += judge_demo(models, Store(str(Path(folder) / "store")), directors, details)
    bars += judge_digits(options.mnist)
    return print_report({**details, "bars": bars}, as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
