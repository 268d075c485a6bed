"""How fast samples are embedded, scored and judged, and in how much memory.

    python -m benchmarks.scoring [--seeds 7] [--json]

An evaluation by the demo's plan, of pictures of the mini set's size that nothing has seen yet: 48 prompts × 7 seeds × 3
arms are 1,008; opening the encoders counts.  Then once more from the cache with one metric that was not asked for
before.  Memory is measured in a process of its own, on as many pictures of 384 × 216 pixels (239 MiB in all, were they
kept), after the first 128 and after all.  Exit code 1 where a bar is missed.
"""

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from PIL import Image

from benchmarks.bars import at_most, print_report
from benchmarks.truth.setting import ROOT, FolderModels
from director_diffusion.catalog import load_catalog
from director_diffusion.evaluation import folds
from director_diffusion.evaluation.encoders.opened import Encoders, open_encoders
from director_diffusion.evaluation.evaluate import evaluate
from director_diffusion.evaluation.material import Material
from director_diffusion.evaluation.types import Evaluation
from director_diffusion.hashing import hash_bytes
from director_diffusion.progress import Silent
from director_diffusion.sampling.images import open_sample, png_bytes
from director_diffusion.sampling.prompts import arm_prompt, noise_seed
from director_diffusion.sampling.rows import ARMS, Sample
from director_diffusion.specs import Director, EvaluationPlan
from director_diffusion.stills.rows import Still
from director_diffusion.stills.still_set import StillSet
from director_diffusion.storage import Store

CATALOG = load_catalog(ROOT / "configs")
DIRECTOR = Director(slug="nolan", name="Nolan", trigger="nolan style", stills_licence="drawn at random")
SIZE, LARGE = (88, 48), (384, 216)
HELD_OUT, TRAIN = 10, 54
WARM_UP = 128
MAX_SECONDS, MAX_SECONDS_AGAIN, MAX_GROWTH_MIB = 20.0, 3.0, 64.0


def picture(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    few = Image.fromarray(rng.integers(0, 256, size=(6, 11, 3), dtype=np.uint8))
    return few.resize(size, Image.Resampling.BICUBIC)


def plan_of(seeds: int) -> EvaluationPlan:
    return CATALOG.evaluations["mini"].model_copy(update={"seeds": tuple(range(seeds)), "release_seeds": ()})


def samples_of(store: Store, plan: EvaluationPlan, size: tuple[int, int]) -> tuple[Sample, ...]:
    rng, found = np.random.default_rng(size[0]), []
    for arm in ARMS:
        for index, prompt in enumerate(plan.prompts):
            for seed in plan.seeds:
                data = png_bytes(picture(rng, size))
                name = f"pictures/{arm}-{index}-{seed}-{size[0]}.png"
                store.write(name, data)
                words = (prompt.text, arm_prompt(arm, prompt.text, DIRECTOR), prompt.subject, prompt.novel)
                noise = noise_seed(prompt.text, seed)
                found.append(Sample(arm, index, *words, noise, name, name, hash_bytes(data)))
    return tuple(found)


def stills_of(store: Store, folder: Path) -> StillSet:
    rng, rows = np.random.default_rng(0), []
    (folder / "images").mkdir()
    for number in range(HELD_OUT + TRAIN):
        picture(rng, SIZE).save(folder / "images" / f"{number}.png")
        row: dict[str, Any] = {"still": f"still-{number}", "film": "film", "name": f"{number}.png", "cluster": number}
        row |= {"file": f"images/{number}.png", "reference": "", "crop": (), "sha256": "", "phash": "", "reason": ""}
        split = "held_out" if number < HELD_OUT else "train"
        rows.append(Still(**row, width=SIZE[0], height=SIZE[1], status="kept", warnings=(), split=split))
    return StillSet(rows, store, folder)


def encoders_of(plan: EvaluationPlan, store: Store, cache: Path) -> Encoders:
    captioner = CATALOG.projects["demo"].captioner
    models = FolderModels(cache, store)
    return open_encoders(plan, models, store, captioner=captioner, asked_at_once=8, device="cpu", progress=Silent())


def judged(material: Material, plan: EvaluationPlan, store: Store, folder: Path) -> tuple[Evaluation, float]:
    """An evaluation, and the seconds from opening its encoders to its files."""
    out = folder / "out"
    out.mkdir(exist_ok=True)
    started = time.perf_counter()
    encoders = encoders_of(plan, store, folder / "cache")
    found = evaluate(material, plan, "draft", DIRECTOR, encoders, store=store, out=out, progress=Silent())
    return found, time.perf_counter() - started


def with_one_more(usual: Any, arms: Mapping[str, Any], seen: Any) -> dict[str, Any]:
    """A metric more: the largest share of any colour."""
    more = {of: arm.grid(arm.rows(seen.look).max(axis=1)) for of, arm in arms.items()}
    return {**usual(arms, seen), "most of one colour": more}


def embed(encoders: Encoders, store: Store, samples: Iterable[Sample]) -> None:
    opened = {sample.sha256: partial(open_sample, store, sample) for sample in samples}
    for cache in (encoders.embedder, encoders.encoder, encoders.look):
        cache.images(opened, title="Embedding", progress=Silent())


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def growth_mib(plan: EvaluationPlan) -> float:
    """By how much peak memory grows between the first and the last large picture."""
    with tempfile.TemporaryDirectory(prefix="director-bench-") as temporary:
        folder = Path(temporary)
        store = Store(str(folder / "store"))
        large = samples_of(store, plan, LARGE)
        encoders = encoders_of(plan, store, folder / "cache")
        embed(encoders, store, large[:WARM_UP])
        before = peak_mib()
        embed(encoders, store, large[WARM_UP:])
        return peak_mib() - before


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="print figures and bars as JSON")
    options = parser.parse_args()
    plan = plan_of(options.seeds)
    with tempfile.TemporaryDirectory(prefix="director-bench-") as temporary:
        folder = Path(temporary)
        store = Store(str(folder / "store"))
        still_set = stills_of(store, folder)
        learned = {"adapter": {still.still: still.split for still in still_set.train}}
        samples = samples_of(store, plan, SIZE)
        material = Material(samples, learned, "", still_set, {}, None)
        first, seconds = judged(material, plan, store, folder)
        with patch.object(folds, "picture_grids", partial(with_one_more, folds.picture_grids)):
            second, again = judged(material, plan, store, folder)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        growth = pool.submit(growth_mib, plan).result()
    metrics = [{score.metric for score in found.scores} for found in (first, second)]
    bars = [
        at_most(f"seconds to embed, score and judge {len(samples)} pictures", seconds, MAX_SECONDS),
        at_most("seconds to score and judge them again with one new metric", again, MAX_SECONDS_AGAIN),
        at_most(f"MiB of peak memory beyond that of {WARM_UP} pictures", growth, MAX_GROWTH_MIB),
    ]
    report = {"metrics": sorted(metrics[0]), "new": sorted(metrics[1] - metrics[0]), "bars": bars}
    return print_report(report, as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
