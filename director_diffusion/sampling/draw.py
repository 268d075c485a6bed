"""Drawing: all images of an evaluation plan for one adapter, each drawn once and kept.

Belongs here: which images are asked for, and how they are named in the cache.  Drawing those that are missing is
`lots`', how a model draws its family's matter (`families.base.Painter`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import NamedTuple, get_args

from director_diffusion.errors import EvaluationError
from director_diffusion.families import longest_count
from director_diffusion.hashing import hash_bytes, hash_data, short
from director_diffusion.progress import Progress
from director_diffusion.sampling.lots import DrawingJob, Lot, Sheet, batches_of, draw_lots
from director_diffusion.sampling.prompts import arm_prompt, arms_asked, noise_seed
from director_diffusion.sampling.rows import BASES, DRAWING_VERSION, FEW_STEP_ARMS, FILE, Arm, Sample
from director_diffusion.sampling.samplers import Sampler, arm_sampler
from director_diffusion.sampling.ways import check_length
from director_diffusion.sampling.wearing import ArmAdapter, drawn_by
from director_diffusion.specs import Base, Director, EvaluationPlan
from director_diffusion.storage import ItemCache, Store
from director_diffusion.tables import write_table
from director_diffusion.training.header import check_trigger


class Drawing(NamedTuple):
    """What was asked for, and how fast those of it came that were drawn now."""

    samples: list[Sample]
    # Of one process: median over batches, decoding among it; no arm of which all was in the cache.
    images_per_second: dict[Arm, float]
    processes: int  # that drew; 0 where nothing was missing


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
    processes: int = 1,
    devices: Sequence[str] = (),
    at_start: Callable[[], None] | None = None,
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
    nothing is missing.  What is missing is shared by `processes`, with one of `devices` each where some are lent
    (`draw_lots`).

    Raises EvaluationError for an arm without its adapter, and, before anything is drawn, for a prompt that the base
    would cut off and for an adapter whose file names another trigger than the director's.
    """
    _check_arms(plan, adapters)
    by = drawn_by(device)
    arms = [arm for arm in get_args(Arm) if arm in adapters or arm in BASES]
    asked = {arm: _wanted(plan, seeds, arm, director) for arm in arms}

    def sheet_of(arm: Arm, label: str) -> Sheet:
        worn, sampler = adapters.get(arm), arm_sampler(arm, plan, base)
        if worn is not None and worn.stock is not None:
            sampler = replace(sampler, scheduler=worn.stock)
        version = worn.versions if worn is not None else ""
        images = image_cache(store, base, sampler, base_fingerprint, adapter_version=version, by=by, fresh=label)
        return Sheet(arm, worn, sampler, images)

    sheets = {arm: sheet_of(arm, fresh) for arm in arms}
    lots: list[Lot] = []
    for arm, sheet in sheets.items():
        absent = set(sheet.images.missing(one.item for one in asked[arm]))
        for place in range(len(seeds)):  # a release's further seeds make batches without the draft's pictures
            batches = batches_of(asked[arm][place :: len(seeds)], plan.sampling.batch_size, director.slug)
            lots += [Lot(sheet, batch) for batch in batches if not absent.isdisjoint(one.item for one in batch)]
    if lots:
        _check_lengths([one for wanted in asked.values() for one in wanted], base, folder)
        for worn in adapters.values():
            check_trigger(worn.paths[0], director)
    with progress.task("Drawing samples", sum(map(len, asked.values()))) as task:
        task.advance(sum(map(len, asked.values())) - sum(len(lot.wanted) for lot in lots))
        job = DrawingJob(base, folder, device, by, tuple(lots))
        paces = draw_lots(job, task, processes=processes, devices=devices, at_start=at_start)
    samples = [
        _sample(one, sheet.images, sheet_of(arm, "").images if fresh else sheet.images)
        for arm, sheet in sheets.items()
        for one in asked[arm]
    ]
    write_table(out / FILE, Sample, samples)
    drawn = {arm for arm, _ in paces}
    rates = {arm: median(pace for of, pace in paces if of == arm) for arm in arms if arm in drawn}
    return Drawing(samples, rates, min(processes, len(lots)))


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
