"""Previews: pictures of a training that cost it nothing but time."""

import io
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import FluxPipeline
from PIL import Image

from director_diffusion.families.base import Sketch
from director_diffusion.hashing import hash_folder
from director_diffusion.progress import Silent
from director_diffusion.prompts.rows import PromptRow
from director_diffusion.sampling.grids import GAP
from director_diffusion.specs import Previews
from director_diffusion.storage.items import ItemCache
from director_diffusion.storage.store import Store
from director_diffusion.tensors import read_tensors, write_item
from director_diffusion.training.rows import TrainingResult
from director_diffusion.training.state import TrainingState
from director_diffusion.training.stopping import TrainingStopped
from director_diffusion.training.train import Trained, train_adapter
from tests.training.test_resume import KillAfter, KilledError
from tests.training.trainings import (
    BASE,
    METADATA,
    POOLED_WIDTH,
    RECIPE,
    TEXT_WIDTH,
    TOKENS,
    Dataset,
    make_job,
)

Train = Callable[..., TrainingResult]
STEPS = [0, 2, 4, 6, 7]  # the base, every second step, the last
SPEC = Previews(prompts=("a", "b"), seeds=(11,), steps=2, guidance=2.0, side=32, strengths=(0.5, 1.0))
SIZE = (32, 32)


class Shown(Silent):
    """Keeps what is shown."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, str, Image.Image]] = []

    def show(self, step: int, title: str, image: Image.Image) -> None:
        self.seen.append((step, title, image))


class ShownThenKilled(Shown, KillAfter):
    def __init__(self, steps: int):
        Shown.__init__(self)
        KillAfter.__init__(self, steps)


def with_previews(dataset: Dataset, *texts: str) -> Dataset:
    """The same data, with embedded preview prompts."""
    cache, rows = ItemCache(dataset.store, "prompts", "test", ".safetensors"), []
    for number, text in enumerate(texts):
        rng = torch.Generator().manual_seed(sum(text.encode()))
        prompt = {
            "prompt_embeds": torch.randn(TOKENS, TEXT_WIDTH, generator=rng),
            "pooled_prompt_embeds": torch.randn(POOLED_WIDTH, generator=rng),
        }
        item = f"preview-{text}"
        write_item(cache, item, prompt)
        rows.append(PromptRow(f"preview {number}", "preview", f"style, {text}", item, cache.name(item)))
    return replace(dataset, prompts=[*dataset.prompts, *rows])


def look(folder: Path, dataset: Dataset, *, progress: Silent | None = None, **changes: Any) -> Trained:
    """Train in `folder` with the previews of `dataset`."""
    out = folder / "out"
    out.mkdir(parents=True, exist_ok=True)
    job = make_job(dataset, RECIPE, folder / "work", previews=SPEC, **changes)
    return train_adapter(job, out=out, metadata=METADATA, progress=progress or Silent())


def columns(sheet: Image.Image) -> int:
    """How many pictures are side by side."""
    return (sheet.width - GAP) // (96 + GAP)


def pictures(store: Store) -> Mapping[str, np.ndarray[Any, Any]]:
    """All preview pictures by item."""
    root = Path(store.full("cache/previews"))
    return {path.stem: np.asarray(Image.open(io.BytesIO(path.read_bytes()))) for path in root.rglob("*.png")}


def test_previews_grow_by_a_column_at_every_checkpoint_and_change_nothing(
    train: Train, dataset: Dataset, tmp_path: Path
) -> None:
    train(name="without")
    shown, data = Shown(), with_previews(dataset, "a", "b")
    trained = look(tmp_path / "with", data, progress=shown)
    assert hash_folder(tmp_path / "with" / "out") == hash_folder(tmp_path / "without" / "out")
    assert [(step, title, columns(sheet)) for step, title, sheet in shown.seen] == [
        (step, "previews", number + 1) for number, step in enumerate(STEPS)
    ]
    assert trained.pictures.keys() == {"previews", "strengths"}
    assert trained.pictures["previews"].tobytes() == shown.seen[-1][2].tobytes()
    assert columns(trained.pictures["strengths"]) == 2
    found = pictures(data.store)
    assert {image.shape[:2] for image in found.values()} == {SIZE[::-1]}
    sheet = {f"{step:06d}-{row}-11" for step in STEPS for row in (0, 1)}
    assert set(found) == sheet | {f"{step:06d}-0-11-strength-0.5" for step in STEPS[1:]}
    assert not np.array_equal(found["000000-0-11"], found["000007-0-11"]), "it learns"
    assert not np.array_equal(found["000007-0-11"], found["000007-0-11-strength-0.5"])
    assert trained.result.preview_seconds > 0
    assert 0 < trained.result.training_seconds <= trained.result.seconds - trained.result.preview_seconds


def test_a_preview_is_what_users_of_the_file_get(dataset: Dataset, tmp_path: Path, mini_base: Path) -> None:
    data = with_previews(dataset, "a", "b")
    result = look(tmp_path / "run", data).result
    pipeline = FluxPipeline.from_pretrained(mini_base, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    empty, asked = ({row.still: row for row in data.prompts}[still].reference for still in ("", "preview 1"))
    given = {name: tensor[None] for name, tensor in read_tensors(data.store, asked).items()}
    against = {f"negative_{name}": tensor[None] for name, tensor in read_tensors(data.store, empty).items()}
    drawn = {}
    for step, adapter in ((0, None), (result.chosen_step, tmp_path / "run" / "out")):
        if adapter is not None:
            pipeline.load_lora_weights(adapter)
        (image,) = pipeline(
            **given, **against, true_cfg_scale=2.0, num_inference_steps=2, width=SIZE[0], height=SIZE[1],
            generator=torch.Generator().manual_seed(11),
        ).images  # fmt: skip
        drawn[f"{step:06d}-1-11"] = np.asarray(image, int)
    for item, expected in drawn.items():
        assert np.abs(pictures(data.store)[item].astype(int) - expected).max() <= 1, item


def test_a_training_that_was_killed_shows_all_columns(dataset: Dataset, tmp_path: Path) -> None:
    data = with_previews(dataset, "a", "b")
    before, after = ShownThenKilled(5), Shown()
    with pytest.raises(KilledError):
        look(tmp_path / "run", data, progress=before)
    drawn = pictures(data.store)
    trained = look(tmp_path / "run", data, progress=after)
    assert trained.result.resumed_from == 4
    assert [step for step, _, _ in before.seen] == [0, 2, 4]
    assert [(step, columns(sheet)) for step, _, sheet in after.seen] == [(6, 4), (7, 5)]
    for item, image in drawn.items():
        assert np.array_equal(pictures(data.store)[item], image)


def test_a_picture_that_is_lacking_is_drawn_beside_those_it_was_drawn_beside(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between two of a batch, a training ends in the same bytes: by itself a picture comes out a little
    different."""
    from director_diffusion.families.flux import FluxFamily

    data, together, original = with_previews(dataset, "a", "b"), [], FluxFamily.sketch
    look(tmp_path / "run", data)
    (folder,) = Path(dataset.store.full("cache/previews")).iterdir()
    lost = folder / "000004-1-11.png"
    content, others = lost.read_bytes(), {path: path.stat().st_mtime_ns for path in folder.iterdir() if path != lost}
    lost.unlink()

    def noting(self: FluxFamily, folder: Path, denoiser: Any, sketch: Sketch) -> torch.Tensor:
        together.append(len(sketch.seeds))
        return original(self, folder, denoiser, sketch)

    monkeypatch.setattr(FluxFamily, "sketch", noting)
    look(tmp_path / "run", data)
    assert together == [2]
    assert lost.read_bytes() == content
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir() if path != lost} == others


def test_other_preview_prompts_train_nothing_and_are_drawn_of_every_step(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = with_previews(dataset, "a", "b"), with_previews(dataset, "a", "c")
    work = tmp_path / "work"
    assert make_job(first, RECIPE, work).identity == make_job(second, RECIPE, work).identity
    kept = look(tmp_path / "run", first)
    bytes_before, learned = hash_folder(tmp_path / "run" / "out"), []
    monkeypatch.setattr(TrainingState, "learn", lambda self, batches, stills: learned.append(batches))
    again = look(tmp_path / "run", second)
    assert not learned
    assert hash_folder(tmp_path / "run" / "out") == bytes_before
    assert again.result.training_seconds == 0
    assert again.pictures["previews"].size == kept.pictures["previews"].size
    assert again.pictures["previews"].tobytes() != kept.pictures["previews"].tobytes()
    folders = list(Path(dataset.store.full("cache/previews")).iterdir())
    assert len(folders) == 2
    old, new = (
        {path.stem: path.read_bytes() for path in folder.iterdir()}
        for folder in sorted(folders, key=lambda path: path.stat().st_ctime_ns)
    )
    assert old.keys() == new.keys()
    same = {item for item in old if old[item] == new[item]}
    assert same == {item for item in old if item.split("-")[1] == "0"}, "the prompt that stayed is drawn as before"


def test_guidance_of_the_base_where_the_plan_sets_none(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from director_diffusion.families.flux import FluxFamily

    asked, original = set(), FluxFamily.sketch

    def noting(self: FluxFamily, folder: Path, denoiser: Any, sketch: Sketch) -> torch.Tensor:
        asked.add((sketch.guidance, sketch.steps, sketch.width, sketch.height))
        return original(self, folder, denoiser, sketch)

    monkeypatch.setattr(FluxFamily, "sketch", noting)
    base = BASE.model_copy(update={"guidance": BASE.guidance.model_copy(update={"sample": 1.5})})
    out = tmp_path / "out"
    out.mkdir()
    spec = SPEC.model_copy(update={"guidance": None, "side": None, "strengths": (1.0,)})
    job = make_job(
        with_previews(dataset, "a"), RECIPE.model_copy(update={"steps": 3, "checkpoint_every": 3}), tmp_path / "work",
        base=base, previews=spec, preview_aspect=2.0,
    )  # fmt: skip
    train_adapter(job, out=out, metadata=METADATA, progress=Silent())
    assert asked == {(1.5, 2, 96, 48)}


def test_other_guidance_of_the_base_draws_other_pictures(dataset: Dataset, tmp_path: Path) -> None:
    """Where the plan leaves it to the base, which trains nothing anew for it."""
    data, spec, kept = with_previews(dataset, "a"), SPEC.model_copy(update={"guidance": None}), []
    for guidance in (1.5, 3.0):
        base = BASE.model_copy(update={"guidance": BASE.guidance.model_copy(update={"sample": guidance})})
        (tmp_path / "out").mkdir(exist_ok=True)
        job = make_job(data, RECIPE, tmp_path / "work", base=base, previews=spec)
        trained = train_adapter(job, out=tmp_path / "out", metadata=METADATA, progress=Silent())
        kept.append((trained.result.training, trained.pictures["previews"].tobytes()))
    assert kept[0][0] == kept[1][0]
    assert kept[0][1] != kept[1][1]


def test_a_stop_is_heard_between_the_pictures_of_finished_steps(dataset: Dataset, tmp_path: Path) -> None:
    look(tmp_path / "run", with_previews(dataset, "a", "b"))
    job = make_job(with_previews(dataset, "a", "c"), RECIPE, tmp_path / "run" / "work", previews=SPEC)
    with pytest.raises(TrainingStopped, match="stopped after step 7 of 7"):
        train_adapter(job, out=tmp_path, metadata=METADATA, progress=Silent(), stop=lambda: True)
