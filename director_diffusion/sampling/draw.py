"""Drawing: all images of an evaluation plan for one adapter, each drawn once and kept.

Belongs here: which images are asked for, how they are named in the cache, and drawing those that are missing.  How a
model draws is its family's matter (`families.base.Painter`).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import NamedTuple, Protocol, get_args

import torch

from director_diffusion.errors import EvaluationError
from director_diffusion.families import longest_count, painter_of
from director_diffusion.families.base import Painter
from director_diffusion.hashing import hash_bytes, hash_data, short
from director_diffusion.packages import DRAWING, package_versions
from director_diffusion.progress import Progress, Task
from director_diffusion.sampling.images import png_bytes
from director_diffusion.sampling.prompts import arm_prompt, arms_asked, noise_seed
from director_diffusion.sampling.rows import BASES, DRAWING_VERSION, FEW_STEP_ARMS, FILE, Arm, Sample
from director_diffusion.sampling.samplers import Sampler, arm_sampler
from director_diffusion.sampling.ways import check_length
from director_diffusion.specs import Base, Director, EvaluationPlan, FewStepScheduler
from director_diffusion.storage import ItemCache, Store
from director_diffusion.tables import write_table
from director_diffusion.training.header import check_trigger


@dataclass(frozen=True)
class ArmAdapter:
    """The adapter that an arm is drawn with: its file, and what says that file's content."""

    path: Path
    version: str
    on: "ArmAdapter | None" = None  # it lies on top of this one
    stock: FewStepScheduler | None = None  # of others' few-step weights: what they are drawn by

    @property
    def paths(self) -> tuple[Path, ...]:
        return (*(self.on.paths if self.on is not None else ()), self.path)

    @property
    def versions(self) -> str:
        """Says the content of all files."""
        return self.version if self.on is None else f"{self.version} on {self.on.versions}"


class Drawing(NamedTuple):
    """What was asked for, and how fast those of it came that were drawn now."""

    samples: list[Sample]
    images_per_second: dict[Arm, float]  # median over batches, decoding among it; no arm of which all was in the cache


class Wanted(Protocol):
    """An image that is asked for, and what it is called in the cache."""

    @property
    def full_prompt(self) -> str: ...

    @property
    def seed(self) -> int: ...

    @property
    def item(self) -> str: ...


@dataclass(frozen=True)
class _Wanted:
    """An image that the plan asks for."""

    arm: Arm
    prompt_index: int
    prompt: str
    full_prompt: str
    subject: str
    novel: bool
    seed: int

    @property
    def item(self) -> str:
        return image_item(self.full_prompt, self.seed)


def draw_samples(
    plan: EvaluationPlan,
    base: Base,
    director: Director,
    folder: Path,
    adapters: Mapping[Arm, ArmAdapter],
    *,
    seeds: Sequence[int],
    base_fingerprint: str,
    store: Store,
    fresh: str = "",
    device: str,
    out: Path,
    progress: Progress,
) -> Drawing:
    """Draw what is missing of the plan's images from `seeds`, in all arms; write and return `samples.parquet`'s rows.

    Rows come arm by arm, then prompt by prompt, then seed by seed.  Images are cached by model, full prompt, seed,
    sampler and what draws them (`drawn_by`): the `base` arm is drawn once for all directors and recipes,
    `base_in_style` once for all recipes of a director, and no arm differs from another by a library's new version.  A
    `fresh` label asks for images of its own: everything is drawn anew under each label once, and
    what came out with the same bytes as before is told as before.

    Arms of few-step students among the `adapters` are drawn beside those that the plan asks for, by `arm_sampler`.

    `base` is what pictures are drawn with (`Base.drawn_with`), `folder` holds it in its family's layout and
    `base_fingerprint` says its content; `adapters` are those of the arms that have one.  Nothing is loaded where
    nothing is missing.

    Raises EvaluationError for an arm without its adapter, and, before anything is drawn, for a prompt that the base
    would cut off and for an adapter whose file names another trigger than the director's.
    """
    _check_arms(plan, adapters)
    by = drawn_by(device)
    arms = [arm for arm in get_args(Arm) if arm in adapters or arm in BASES]
    asked = {arm: _wanted(plan, seeds, arm, director) for arm in arms}

    def check() -> None:
        _check_lengths([one for wanted in asked.values() for one in wanted], base, folder)
        for worn in adapters.values():
            check_trigger(worn.paths[0], director)

    painter = _LazyPainter(base, folder, device, check)
    samples: list[Sample] = []
    paces: dict[Arm, list[float]] = {arm: [] for arm in arms}
    with progress.task("Drawing samples", len(asked) * len(plan.prompts) * len(seeds)) as task:
        for arm in asked:
            worn, sampler = adapters.get(arm), arm_sampler(arm, plan, base)
            if worn is not None and worn.stock is not None:
                sampler = replace(sampler, scheduler=worn.stock)
            version = worn.versions if worn is not None else ""
            images = image_cache(store, base, sampler, base_fingerprint, adapter_version=version, by=by, fresh=fresh)
            painter.use(worn)
            for place in range(len(seeds)):  # a release's further seeds make batches without the draft's pictures
                some = asked[arm][place :: len(seeds)]
                paces[arm] += draw_missing(
                    some, images, sampler, plan.sampling.batch_size, painter.get, task, whose=director.slug
                )
            plain = images
            if fresh:
                plain = image_cache(store, base, sampler, base_fingerprint, adapter_version=version, by=by)
            samples += [_sample(one, images, plain) for one in asked[arm]]
    write_table(out / FILE, Sample, samples)
    return Drawing(samples, {arm: median(found) for arm, found in paces.items() if found})


def drawn_by(device: str) -> str:
    """What draws on this machine: the versions of the libraries, and the device.

    Pictures of one prompt and noise that are compared must not differ by it.  What it leaves out, such as a driver, is
    the canary's to notice.
    """
    family = torch.device(device).type  # which of several alike draws makes no difference
    kind = torch.cuda.get_device_name(device) if family == "cuda" else torch.backends.cpu.get_cpu_capability()
    return " ".join([family, kind, *(f"{name} {version}" for name, version in package_versions(DRAWING).items())])


def image_cache(
    store: Store,
    base: Base,
    sampler: Sampler,
    base_fingerprint: str,
    *,
    adapter_version: str = "",
    by: str = "",
    fresh: str = "",
) -> ItemCache:
    """The images of one model under one sampler; `adapter_version` is "" for the bare base.

    `by` is "" for what is kept whatever draws it next: the prior's pictures, and the first ones of a canary.
    """
    fingerprint = hash_data(
        {
            "drawing": DRAWING_VERSION,
            "base": base_fingerprint,
            "adapter": adapter_version,
            "sampler": sampler.told,
            "guidance": base.guidance.kind,
            "max_prompt_tokens": base.max_prompt_tokens,
            "dtype": base.dtype,
            "by": by,
            "fresh": fresh,
        }
    )
    return ItemCache(store, "images", short(fingerprint), ".png")


def image_item(full_prompt: str, seed: int) -> str:
    """The item's name of an image."""
    return short(hash_data({"prompt": full_prompt, "seed": seed}))


class _LazyPainter:
    """A painter that is loaded by the first image that needs it, with the adapter that was asked for last.

    It is not loaded unless `check` finds nothing wrong with what is asked.
    """

    def __init__(self, base: Base, folder: Path, device: str, check: Callable[[], None]):
        self._base, self._folder, self._device, self._check = base, folder, device, check
        self._painter: Painter | None = None
        self._wanted: ArmAdapter | None = None
        self._attached: ArmAdapter | None = None

    def use(self, worn: ArmAdapter | None) -> None:
        self._wanted = worn

    def get(self) -> Painter:
        if self._painter is None:
            self._check()
            self._painter = painter_of(self._base, self._folder, device=self._device)
        if self._attached != self._wanted:
            _attach(self._painter, self._wanted)
            self._attached = self._wanted
        return self._painter


def _attach(painter: Painter, worn: ArmAdapter | None) -> None:
    """Put on what is worn, or nothing."""
    if worn is None:
        painter.detach()
    elif worn.stock is None:
        painter.attach(*worn.paths)
    else:
        painter.attach(*worn.paths[:-1], stock=worn.path)


def _wanted(plan: EvaluationPlan, seeds: Sequence[int], arm: Arm, director: Director) -> list[_Wanted]:
    return [
        _Wanted(
            arm,
            index,
            prompt.text,
            arm_prompt(arm, prompt.text, director),
            prompt.subject,
            prompt.novel,
            noise_seed(prompt.text, seed),
        )
        for index, prompt in enumerate(plan.prompts)
        for seed in seeds
    ]


def _check_arms(plan: EvaluationPlan, adapters: Mapping[Arm, ArmAdapter]) -> None:
    asked = {arm for arm in arms_asked(plan) if arm not in BASES}
    if asked != adapters.keys() - FEW_STEP_ARMS.keys():
        raise EvaluationError(
            f"plan {plan.slug}",
            f"asks for adapters of {', '.join(sorted(asked))}, and there are some of {', '.join(sorted(adapters))}",
            "Materialize samples again, with the plan that the adapters were trained by.",
        )


def _check_lengths(asked: Sequence[_Wanted], base: Base, folder: Path) -> None:
    """Raise EvaluationError for the first prompt of which the base would not read the end."""
    count = longest_count([(base.family, folder)])
    for one in asked:
        check_length(
            one.full_prompt,
            count,
            base,
            name=f'prompt {one.prompt_index + 1} of the arm {one.arm}, "{one.full_prompt}"',
            way_out=f"Shorten the plan's prompt {_added(one.arm)}or raise max_prompt_tokens of the base.",
        )


def _added(arm: Arm) -> str:
    """What else of an arm's prompt can be shortened."""
    return {"base": "", "base_in_style": "or the director's name, "}.get(arm, "or the trigger, ")


def draw_missing(
    wanted: Sequence[Wanted],
    images: ItemCache,
    sampler: Sampler,
    batch_size: int,
    painter: Callable[[], Painter],
    task: Task,
    *,
    whose: str = "",
) -> list[float]:
    """Draw the batches in which something is missing.  Returns how many images a second each of them came to.

    Batches are cut from all that is wanted, not from what is missing: low-order bits may depend on a batch's size, so a
    run that goes on after a kill draws each image in the company it would have had.  `whose` gives them an order of
    their own: of several runs that want the same, each finds some drawn by the others when it comes to them.
    """
    absent, paces = set(images.missing(one.item for one in wanted)), []
    for start in sorted(range(0, len(wanted), batch_size), key=lambda start: hash_data([whose, start])):
        batch = wanted[start : start + batch_size]
        missing = set() if absent.isdisjoint(one.item for one in batch) else set(images.missing(_items(batch)))
        if missing:
            ready, started = painter(), time.perf_counter()
            drawn = ready.draw([one.full_prompt for one in batch], [one.seed for one in batch], **vars(sampler))
            paces.append(len(batch) / (time.perf_counter() - started))
            for one, image in zip(batch, drawn, strict=True):
                if one.item in missing:
                    images.write(one.item, png_bytes(image))
        task.advance(len(batch))
    return paces


def _items(wanted: Sequence[Wanted]) -> list[str]:
    return [one.item for one in wanted]


def _sample(wanted: _Wanted, images: ItemCache, plain: ItemCache) -> Sample:
    """The row of an image.  One drawn anew that came out as before refers to the image from before, so that a
    re-evaluation without drift is the same content."""
    data = images.read(wanted.item)
    unchanged = plain is not images and not plain.missing([wanted.item]) and plain.read(wanted.item) == data
    return Sample(
        **vars(wanted),
        item=wanted.item,
        reference=(plain if unchanged else images).name(wanted.item),
        sha256=hash_bytes(data),
    )
