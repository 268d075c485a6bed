"""Building: the parts of a base, each once, and the set that they make.

Belongs here: making a part in its order, keeping it, and laying the whole set out.  How a part learns is its own
module's; what its key is made of is `keys`'.
"""

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from PIL import Image

from director_diffusion.pretraining.card import write_card
from director_diffusion.pretraining.finished import FinishedPart, find_part, grid_name, keep_part
from director_diffusion.pretraining.keys import STANDS_ON, PartName, data_fingerprint, part_keys, parts_of
from director_diffusion.pretraining.manifest import write_manifest
from director_diffusion.pretraining.part_run import PartRun, trained_here
from director_diffusion.progress import Progress
from director_diffusion.specs import Base
from director_diffusion.storage import Store
from director_diffusion.storage.lock import writer_lock
from director_diffusion.storage.store import explained
from director_diffusion.storage.work import work_folder

PACKAGES = ("diffusers", "numpy", "open_clip_torch", "pillow", "timm", "tokenizers", "torch", "transformers")

FOLDERS: Mapping[PartName, str] = {
    "denoiser": "base",  # a whole pipeline, with the VAE in it
    "captioner": "captioner",
    "embedder": "embedder",
    "style_encoder": "style_encoder",
}
"""Where a part lies in the set."""


@dataclass(frozen=True)
class Workshop:
    """Where parts are made."""

    store: Store
    root: Path  # what relative places of the data start from
    cache: Path  # of models; keeps the memo of files hashed before
    token: str | None  # of the Hub's, for data that comes from there
    device: str
    holder: str  # who makes them, for others who wait
    progress: Progress


def build_base(base: Base, shop: Workshop, out: Path) -> dict[PartName, FinishedPart]:
    """Make the parts that are not there yet, and lay the set out in `out`: the parts, README.md and manifest.json."""
    parts = PartMaker(base, shop)
    finished = {name: parts.make(name) for name in parts_of(base)}
    for name, folder in FOLDERS.items():
        if name in finished:
            finished[name].copy_to(out / folder)
    records = {name: part.record for name, part in finished.items()}
    write_card(base, records, out)
    write_manifest(base.slug, {name: part.record.key for name, part in finished.items()}, out)
    return finished


def build_part(name: PartName, base: Base, run: PartRun) -> None:
    """Train one part into `run.out`."""
    # Each part's module is imported when it is made: a VAE needs no open_clip.
    module = import_module(f"director_diffusion.pretraining.{name}")
    getattr(module, f"build_{name}")(base, run)


class PartMaker:
    """Makes the parts of one base, or finds them."""

    def __init__(self, base: Base, shop: Workshop):
        self.base, self.shop = base, shop

    @cached_property
    def data(self) -> str:
        return data_fingerprint(trained_here(self.base).data, root=self.shop.root, cache=self.shop.cache)

    @cached_property
    def keys(self) -> Mapping[PartName, str]:
        return part_keys(self.base, root=self.shop.root, cache=self.shop.cache)

    def make(self, name: PartName) -> FinishedPart:
        """A finished part, made with all that it stands on where it is not there yet.

        A making that was killed goes on from its newest snapshot.  Raises BusyError where another process is at it.
        """
        store, key = self.shop.store, self.keys[name]
        found = find_part(store, name, key)
        if found is not None:
            return found
        under = {part: self.make(part) for part in STANDS_ON.get(name, ()) if part in self.keys}
        thing = f"{self.base.slug}'s {name}"
        with writer_lock(store, thing, self.shop.holder), explained(thing, store.url):
            return find_part(store, name, key) or self._train(name, key, under)

    def _train(self, name: PartName, key: str, under: Mapping[PartName, FinishedPart]) -> FinishedPart:
        work = work_folder(self.shop.store, f"parts/{self.base.slug}/{name}/{key}")
        out, clock = work / "out", _Clock(work / "seconds")
        shutil.rmtree(out, ignore_errors=True)  # what a killed making left
        out.mkdir(parents=True)
        grids = work / "grids"
        grids.mkdir(exist_ok=True)

        def show(step: int, image: Image.Image) -> None:
            image.save(grids / grid_name(step))
            clock.note()
            self.shop.progress.show(step, name.replace("_", " "), image)

        run = PartRun(
            out=out,
            work=work / "snapshots",
            root=self.shop.root,
            cache=self.shop.cache,
            data=self.data,
            token=self.shop.token,
            device=self.shop.device,
            progress=self.shop.progress,
            show=show,
            parts={part: finished.local_folder(work / part) for part, finished in under.items()},
        )
        build_part(name, self.base, run)
        finished = keep_part(
            self.shop.store,
            name,
            key,
            files=out,
            grids=grids,
            steps=sum(steps for _, steps in getattr(trained_here(self.base), name).trainings),
            seconds=clock.note(),
            device=self.shop.device.partition(":")[0],  # whichever it was of several
            packages={package: version(package) for package in PACKAGES},
        )
        shutil.rmtree(work.parent, ignore_errors=True)  # also what was begun under keys that no longer count
        return finished


class _Clock:
    """Seconds of work, over all attempts: a killed one counts as far as it was noted."""

    def __init__(self, file: Path):
        self._file, self._started = file, time.monotonic()
        self._before = float(file.read_text()) if file.exists() else 0.0

    def note(self) -> float:
        seconds = self._before + time.monotonic() - self._started
        partial = self._file.with_suffix(".part")
        partial.write_text(str(seconds))
        partial.replace(self._file)
        return seconds
