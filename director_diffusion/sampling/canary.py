"""Canary: pictures of a fixed adapter, drawn again and again, which change only when code or drivers do.

Belongs here: the adapter, which is made once of random numbers and kept, its pictures, and how far new ones are from
the first.
"""

import io
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from PIL import Image

from director_diffusion.adapters.files import save_adapter
from director_diffusion.adapters.injection import linears
from director_diffusion.families import get_family, painter_of
from director_diffusion.families.base import Painter
from director_diffusion.hashing import hash_bytes, hash_data, short
from director_diffusion.latents.pixels import psnr, to_tensor
from director_diffusion.progress import Progress
from director_diffusion.sampling.draw import image_cache, image_item
from director_diffusion.sampling.lots import draw_missing
from director_diffusion.sampling.prompts import sung
from director_diffusion.sampling.samplers import plan_sampler
from director_diffusion.sampling.wearing import drawn_by
from director_diffusion.specs import Base, EvaluationPlan, LoraAdapter
from director_diffusion.storage import ItemCache, Store

FILE = "canary.json"
ADAPTER = LoraAdapter(kind="lora", rank=4, alpha=4, targets="attention")
FIRST = "pictures-"  # what begins the name of a note of where the first pictures are
WIDTH = 0.05  # standard deviation of B; A's is 1/√in, so that ΔW comes to about a tenth of what linears begin with
DRIFTED_DB = 40.0  # PSNR: below it a picture differs by more than its last bits


@dataclass(frozen=True)
class Canary:
    """How the fixed adapter's pictures came out."""

    pictures: int
    changed: int  # of them, in any bit
    worst_psnr: float | None  # dB, of the one least like the first drawing; None where none changed

    @property
    def drifted(self) -> bool:
        return self.worst_psnr is not None and self.worst_psnr < DRIFTED_DB

    @property
    def words(self) -> str:
        """What it means for whoever compares scores over time."""
        if self.worst_psnr is None:
            return f"All {self.pictures} pictures came out as when they were first drawn, to the bit."
        how = f"{self.changed} of {self.pictures} pictures changed, the worst to {self.worst_psnr:.1f} dB of its first"
        if self.drifted:
            return f"{how}: code or drivers draw otherwise now, so older scores do not compare with new ones."
        return f"{how}: no more than last bits."

    @classmethod
    def read(cls, data: bytes) -> "Canary":
        return cls(**json.loads(data))


@dataclass(frozen=True)
class _Wanted:
    full_prompt: str
    seed: int

    @property
    def item(self) -> str:
        return image_item(self.full_prompt, self.seed)


def sing(
    plan: EvaluationPlan,
    base: Base,
    folder: Callable[[], Path],
    *,
    base_fingerprint: str,
    store: Store,
    fresh: str,
    device: str,
    out: Path,
    progress: Progress,
) -> tuple[Canary, list[Image.Image]]:
    """Draw the canary's pictures anew under each `fresh` label and by whatever draws now, compare them with the first
    ones, and tell in `out`.

    Returns the finding and the pictures.  `base` is what pictures are drawn with; `folder` gives its folder, and is
    asked only where something is to be drawn.
    """
    sampler = plan_sampler(plan, base)
    adapter = _adapter(base, folder, base_fingerprint=base_fingerprint, store=store, device=device)
    wanted = [_Wanted(text, seed) for text, seed in sung(plan)]
    version = hash_bytes(adapter)
    first = image_cache(store, base, sampler, base_fingerprint, adapter_version=version)
    _note_first(store, base_fingerprint, first)
    by = drawn_by(device)
    now = image_cache(store, base, sampler, base_fingerprint, adapter_version=version, by=by, fresh=fresh)
    with tempfile.TemporaryDirectory() as place, progress.task("Drawing the canary", len(wanted)) as task:
        path = Path(place) / "canary.safetensors"
        path.write_bytes(adapter)
        painter = _painter_of(base, folder, path, device)
        draw_missing(wanted, now, sampler, plan.sampling.batch_size, painter, task)
    absent = set(first.missing(one.item for one in wanted))
    for one in wanted:
        if one.item in absent:  # these are the first
            first.write(one.item, now.read(one.item))
    pictures = [_opened(now, one) for one in wanted]
    found = _compared(wanted, first, now, pictures)
    (out / FILE).write_text(json.dumps(asdict(found), indent=1) + "\n", encoding="utf-8")
    return found, pictures


def _compared(wanted: Sequence[_Wanted], first: ItemCache, now: ItemCache, pictures: Sequence[Image.Image]) -> Canary:
    changed = [
        psnr(to_tensor(_opened(first, one)), to_tensor(picture))
        for one, picture in zip(wanted, pictures, strict=True)
        if first.read(one.item) != now.read(one.item)
    ]
    return Canary(len(wanted), len(changed), round(min(changed), 2) if changed else None)


def _adapter(base: Base, folder: Callable[[], Path], *, base_fingerprint: str, store: Store, device: str) -> bytes:
    """The fixed adapter's file: kept, since torch may draw other random numbers one day."""
    items = ItemCache(store, "canary", _kept_as(base_fingerprint), ".safetensors")
    if items.missing(["adapter"]):
        family = get_family(base.family)
        denoiser = family.load_denoiser(folder(), device=device, dtype=getattr(torch, base.dtype))
        targets = family.target_modules(denoiser, ADAPTER.targets)
        shapes = {name: (linear.out_features, linear.in_features) for name, linear in linears(denoiser)}
        del denoiser
        rng, weights = torch.Generator().manual_seed(0), {}
        for target in targets:
            rows, columns = shapes[target]
            weights[f"{target}.lora_A.weight"] = torch.randn(ADAPTER.rank, columns, generator=rng) / columns**0.5
            weights[f"{target}.lora_B.weight"] = torch.randn(rows, ADAPTER.rank, generator=rng) * WIDTH
        with tempfile.TemporaryDirectory() as place:
            path = Path(place) / "adapter.safetensors"
            save_adapter(path, weights, ADAPTER, targets, role=family.role, metadata={"canary": base_fingerprint})
            items.write("adapter", path.read_bytes())
    return items.read("adapter")


def _note_first(store: Store, base_fingerprint: str, first: ItemCache) -> None:
    """Note where the first pictures are, which no artifact refers to: they must outlive all others."""
    notes = ItemCache(store, "canary", _kept_as(base_fingerprint), ".json")
    name = f"{FIRST}{short(hash_data(first.folder))}"
    if notes.missing([name]):
        notes.write(name, json.dumps({"folder": first.folder}).encode())


def _kept_as(base_fingerprint: str) -> str:
    return short(hash_data({"base": base_fingerprint, "adapter": ADAPTER, "width": WIDTH}))


def _painter_of(base: Base, folder: Callable[[], Path], adapter: Path, device: str) -> Callable[[], Painter]:
    painters: list[Painter] = []

    def painter() -> Painter:
        if not painters:
            painters.append(painter_of(base, folder(), device=device))
            painters[0].attach(adapter)
        return painters[0]

    return painter


def _opened(cache: ItemCache, one: _Wanted) -> Image.Image:
    with Image.open(io.BytesIO(cache.read(one.item))) as image:
        return image.convert("RGB")
