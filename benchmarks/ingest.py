"""How fast, and in how much memory, stills are ingested.

    python -m benchmarks.ingest [--stills 240] [--per-film 40] [--folder FOLDER] [--json]

Makes 1080p JPEGs of photograph-like content (large shapes, edges and grain, half of the films letterboxed, quality 90)
in a temporary store, lists and ingests them, and reports stills a second and this process's memory.  One still is
ingested first, so that loading libraries is not counted.  20,000 stills take 16 GB in FOLDER while it runs; with
`--per-film 20000` they are all of one film, whose stills wait for each other.  Exit code 1 where a bar is missed.
"""

import argparse
import os
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.bars import at_least, at_most, print_report
from director_diffusion.progress import Silent
from director_diffusion.specs import StillsRules
from director_diffusion.stills.ingest import ingest_stills
from director_diffusion.stills.raw import list_raw_files
from director_diffusion.storage.store import Store

SIZE = (1920, 1080)
PICTURES = 60  # that are drawn; further stills are these, mirrored and shifted round, which look unlike them
MIN_STILLS_PER_SECOND = 30.0
MAX_GROWTH_MIB = 400.0  # of peak memory while ingesting, however many stills there are
MAX_LATER_GROWTH_MIB = 64.0  # of that, after half of the stills


def write_still(path: Path, number: int, letterboxed: bool) -> None:
    """Write the still of that number."""
    height = 804 if letterboxed else SIZE[1]
    picture = draw(number % PICTURES, height)
    if number >= PICTURES:
        rng = np.random.default_rng(number)
        picture = np.roll(picture[:, :: rng.choice((-1, 1))], (rng.integers(height), rng.integers(SIZE[0])), (0, 1))
    frame = Image.new("RGB", SIZE)
    frame.paste(Image.fromarray(picture), (0, (SIZE[1] - height) // 2))
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.save(path, quality=90)


@cache
def draw(seed: int, height: int) -> NDArray[np.uint8]:
    """A picture with large shapes, edges and grain, so that JPEG has as much to do as with a photograph."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((height, SIZE[0], 3), dtype=np.float32)
    for cells, strength in ((6, 0.6), (40, 0.3), (240, 0.1)):
        coarse = rng.integers(0, 256, (cells * 9 // 16 + 1, cells, 3), dtype=np.uint8)
        how = Image.Resampling.NEAREST if cells == 40 else Image.Resampling.BICUBIC
        picture += strength * np.asarray(Image.fromarray(coarse).resize((SIZE[0], height), how), dtype=np.float32)
    picture += rng.normal(0, 5, (height, SIZE[0], 1)).astype(np.float32)
    return picture.clip(40, 255).astype(np.uint8)


class Watch(Silent):
    """Notes the peak of memory when half of the stills have been looked at."""

    def __init__(self, count: int):
        self._left, self.peak_at_half = count // 2, 0.0

    def advance(self, steps: int = 1, note: str = "") -> None:
        self._left -= steps
        if self._left == 0:
            self.peak_at_half = peak_mib()


def measure(count: int, per_film: int, place: str | None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="director-bench-", dir=place) as folder:
        store, out = Store(f"{folder}/store"), Path(folder) / "out"
        paths = [
            Path(folder) / f"store/stills/bench/film{i // per_film:03}/{i % per_film:05}.jpg" for i in range(count)
        ]
        letterboxed = [(i // per_film) % 2 == 1 for i in range(count)]
        # In other processes, so that making the stills does not count as memory of ingesting them.
        with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
            list(pool.map(write_still, paths, range(count), letterboxed, chunksize=PICTURES))
        size = sum(path.stat().st_size for path in paths) / count
        start = time.perf_counter()
        raw = list_raw_files(store, "bench")
        listing = time.perf_counter() - start
        ingest_stills(store, raw[:1], StillsRules(), out, Silent())
        before, cpu, started = peak_mib(), time.process_time(), time.perf_counter()
        watch = Watch(count)
        still_set = ingest_stills(store, raw, StillsRules(), out, watch)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    speed, growth = count / seconds, peak_mib() - before
    return {
        "stills": count,
        "films": -(-count // per_film),
        "kept": len(still_set.kept),
        "cropped": sum(bool(still.crop) for still in still_set.kept),
        "mean_file_kib": round(size / 1024),
        "cores": os.cpu_count(),
        "list_seconds": round(listing, 3),
        "ingest_seconds": round(seconds, 3),
        "cpu_ms_per_still": round(1000 * cpu / count, 1),
        "peak_memory_mib": round(peak_mib()),
        "bars": [
            at_least("stills ingested per second", speed, MIN_STILLS_PER_SECOND),
            at_most("memory growth while ingesting (MiB)", growth, MAX_GROWTH_MIB),
            at_most("of that, after half of the stills (MiB)", peak_mib() - watch.peak_at_half, MAX_LATER_GROWTH_MIB),
        ],
    }


def peak_mib() -> float:
    """The most memory that this process has had resident so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stills", type=int, default=240, help="how many to make (default: %(default)s)")
    parser.add_argument("--per-film", type=int, default=40, help="stills of a film (default: %(default)s)")
    parser.add_argument("--folder", help="where to make them (default: the system's temporary folder)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    return print_report(measure(options.stills, options.per_film, options.folder), as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
