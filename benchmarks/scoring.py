"""How fast samples are embedded and scored, and in how much memory.

    python -m benchmarks.scoring [--images 1000] [--json]

Embeds pictures of the mini set's size by its embedder and style encoder, and by the look, with every metric over the
vectors; then scores once more from the cache with one metric that was not asked for before.  Memory is measured on
pictures of 768 × 432 pixels, after the first 128 and after all.  Exit code 1 where a bar is missed.
"""

import argparse
import io
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.bars import at_most, print_report
from director_diffusion.evaluation.encoders.base import Encoder
from director_diffusion.evaluation.encoders.cache import EmbeddingCache
from director_diffusion.evaluation.encoders.embedder import ClipEmbedder
from director_diffusion.evaluation.encoders.image_encoder import TimmEncoder
from director_diffusion.evaluation.encoders.look import LookEncoder
from director_diffusion.evaluation.metrics.distribution import cmmd
from director_diffusion.evaluation.metrics.diversity import pairwise_distance, vendi_score
from director_diffusion.evaluation.metrics.look import (
    colour_distance,
    contrast_distance,
    framing_distance,
    luma_distance,
)
from director_diffusion.evaluation.metrics.memorisation import memorisation_threshold, nearest
from director_diffusion.evaluation.metrics.similarity import closeness, prompt_fidelity
from director_diffusion.progress import Silent
from director_diffusion.sampling.images import png_bytes
from director_diffusion.specs import Embedder, FolderSource, ImageEncoder
from director_diffusion.storage import Store

MINI = Path(__file__).parents[1] / "models" / "mini"
ANY = FolderSource(kind="folder", folder="models/mini")
SIZE, LARGE = (88, 48), (768, 432)
STILLS = 48
WARM_UP = 128
MAX_SECONDS, MAX_SECONDS_AGAIN, MAX_GROWTH_MIB = 20.0, 3.0, 64.0


def clip() -> ClipEmbedder:
    return ClipEmbedder(MINI / "embedder", Embedder(model="mini", source=ANY), device="cpu")


LOADS: dict[str, Callable[[], Encoder]] = {
    "clip": clip,
    "timm": lambda: TimmEncoder(MINI / "style_encoder", ImageEncoder(model="mini", source=ANY), device="cpu"),
    "look": LookEncoder,
}

Rows = NDArray[np.float32]
Pictures = Mapping[str, Callable[[], Image.Image]]


def write_pictures(store: Store, count: int, size: tuple[int, int]) -> Pictures:
    """Pictures in the store, by name, as functions that open them."""
    rng = np.random.default_rng(count)
    found = {}
    for number in range(count):
        few = Image.fromarray(rng.integers(0, 256, size=(6, 11, 3), dtype=np.uint8))
        name = f"pictures/{size[0]}-{number:05d}.png"
        store.write(name, png_bytes(few.resize(size, Image.Resampling.BICUBIC)))
        found[f"{size[0]}-{number:05d}"] = partial(open_picture, store, name)
    return found


def open_picture(store: Store, name: str) -> Image.Image:
    with Image.open(io.BytesIO(store.read(name))) as image:
        return image.convert("RGB")


def embed(store: Store, kind: str, pictures: Pictures, *, fresh: str = "") -> Rows:
    cache = EmbeddingCache(store, kind, LOADS[kind], fresh=fresh)
    return np.stack(list(cache.images(pictures, title="Embedding", progress=Silent()).values()))


def score(store: Store, pictures: Pictures) -> dict[str, float]:
    """Every metric of all but the last pictures, which stand for stills."""
    rows = {kind: embed(store, kind, pictures) for kind in LOADS}
    samples, stills = (
        {kind: one[part] for kind, one in rows.items()} for part in (slice(-STILLS), slice(-STILLS, None))
    )
    texts = [f"a red car number {number % 48}" for number in range(len(samples["clip"]))]
    embedder = EmbeddingCache(store, "clip", clip)
    words = embedder.texts(sorted(set(texts)), title="Embedding prompts", progress=Silent())
    found = {
        "prompt_fidelity": prompt_fidelity(samples["clip"], np.stack([words[text] for text in texts])).mean(),
        **{f"closeness_{kind}": closeness(samples[kind], stills[kind]).mean() for kind in ("clip", "timm")},
        "cmmd": cmmd(samples["clip"], stills["clip"]),
        "vendi": vendi_score(samples["timm"]),
        "pairwise": pairwise_distance(samples["timm"]),
        "memorised": nearest(samples["timm"], stills["timm"]).beyond(memorisation_threshold(stills["timm"])),
    }
    for distance in (colour_distance, luma_distance, contrast_distance, framing_distance):
        found[distance.__name__] = distance(samples["look"], stills["look"]).mean()
    return {name: float(value) for name, value in found.items()}


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--json", action="store_true", help="print figures and bars as JSON")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        large = write_pictures(store, arguments.images, LARGE)
        for kind in LOADS:
            embed(store, kind, dict(list(large.items())[:WARM_UP]), fresh="warm up")
        before = peak_mib()
        for kind in LOADS:
            embed(store, kind, large)
        growth = peak_mib() - before

        small = write_pictures(store, arguments.images, SIZE)
        start = time.perf_counter()
        found = score(store, small)
        seconds = time.perf_counter() - start
        start = time.perf_counter()
        found["vendi by the embedder"] = vendi_score(embed(store, "clip", small))
        again = time.perf_counter() - start
    bars = [
        at_most(f"seconds to embed and score {arguments.images} images", seconds, MAX_SECONDS),
        at_most("seconds to score them with one new metric", again, MAX_SECONDS_AGAIN),
        at_most(f"MiB of peak memory beyond that of {WARM_UP} images", growth, MAX_GROWTH_MIB),
    ]
    return print_report({"scores": found, "bars": bars}, as_json=arguments.json)


if __name__ == "__main__":
    sys.exit(main())
