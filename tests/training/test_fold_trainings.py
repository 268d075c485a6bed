"""Folds: the same training by another split, and one on all stills whose step the folds choose."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from director_diffusion.errors import TrainingError
from director_diffusion.families import get_family
from director_diffusion.progress import Silent
from director_diffusion.stills.rows import Split
from director_diffusion.training.checks import judge
from director_diffusion.training.data import load_dataset
from director_diffusion.training.finished import FinishedSteps
from director_diffusion.training.folds import on_all_stills, with_split
from director_diffusion.training.header import read_header
from director_diffusion.training.job import TrainingJob
from director_diffusion.training.picks import newest_training
from director_diffusion.training.plots import curve_plot
from director_diffusion.training.rows import WEIGHTS, Pick, TrainingResult
from director_diffusion.training.train import train_adapter
from tests.training.trainings import METADATA, RECIPE, STILLS, WIDE, Dataset, make_dataset, make_job

SECOND: dict[str, Split] = {
    "wide0": "validation", "wide1": "held_out", "wide2": "train", "wide3": "train", "tall0": "train",
    "wide9": "train", "tall9": "train", "other": "train",
}  # fmt: skip
ALL = ("other", "tall0", "tall9", "wide0", "wide1", "wide2", "wide3", "wide9")


@pytest.fixture
def job(dataset: Dataset, tmp_path: Path) -> TrainingJob:
    """A training of the first fold: one still is held out for the verdict, two for the step."""
    stills = [
        ("other", "held_out", WIDE) if still == "unused" else (still, split, size) for still, split, size in STILLS
    ]
    return make_job(make_dataset(dataset.store, stills), RECIPE, tmp_path / "work")  # type: ignore[arg-type]


@pytest.fixture
def train(tmp_path: Path) -> Callable[..., TrainingResult]:
    def run(job: TrainingJob, pick: Pick | None = None) -> TrainingResult:
        (tmp_path / "out").mkdir(exist_ok=True)
        progress = Silent()
        return train_adapter(job, out=tmp_path / "out", metadata=METADATA, progress=progress, pick=pick).result

    return run


def splits(job: TrainingJob) -> dict[str, str]:
    assert {row.still: row.split for row in job.prompts if row.still} == {row.still: row.split for row in job.latents}
    return {row.still: row.split for row in job.latents}


def test_a_second_fold_is_the_same_training_by_another_split(job: TrainingJob) -> None:
    second = with_split(job, SECOND)
    assert splits(second) == SECOND
    assert [row.split for row in second.prompts if not row.still] == ["none"], "the empty prompt is no still's"
    assert second.identity.short != job.identity.short
    assert replace(second, latents=job.latents, prompts=job.prompts).identity == job.identity
    assert "wide1" not in second.identity.parts["latents"], "what its verdict is spoken over, no step knows"


def test_what_is_no_still_keeps_its_place(job: TrainingJob) -> None:
    prior, preview = replace(job.latents[0], still="prior 0", split="prior"), replace(job.prompts[0], split="preview")
    more = replace(job, latents=(*job.latents, prior), prompts=(*job.prompts, preview))
    again = on_all_stills(more, (2, 6))
    assert again.latents[-1] == prior
    assert again.prompts[-1] == preview


def test_a_still_of_no_fold_is_named(job: TrainingJob) -> None:
    with pytest.raises(TrainingError, match="still wide9: is in no fold"):
        with_split(job, {still: split for still, split in SECOND.items() if still != "wide9"})


def test_all_stills_are_learned_and_those_that_chose_a_step_are_watched(job: TrainingJob) -> None:
    whole = on_all_stills(job, (2, 6))
    assert splits(whole) == dict.fromkeys(ALL, "train")
    data = load_dataset(whole.latents, whole.training_prompts, whole.store, get_family("flux"), watched=whole.watched)
    assert {sample.still for sample in data.train} == set(ALL)
    assert {sample.still for sample in data.held_out} == {"wide9", "tall9"}
    assert whole.identity.short not in {job.identity.short, with_split(whole, SECOND).identity.short}
    assert whole.identity == on_all_stills(job, (4, 4)).identity, "another choice of the step trains nothing anew"
    assert job.identity.parts.keys() == whole.identity.parts.keys() - {"watched"}


def test_a_training_on_all_stills_takes_the_step_between_those_of_the_folds(
    job: TrainingJob, train: Callable[..., TrainingResult], tmp_path: Path
) -> None:
    result = train(on_all_stills(job, (2, 7)))
    assert (result.chosen_step, result.chosen_by) == (4, "folds: mean of steps 2 and 7")
    assert (result.train_stills, result.held_out_stills, result.watched_stills) == (8, 0, 2)
    header = read_header(tmp_path / "out" / WEIGHTS)
    assert (header["step"], header["chosen_by"], header["chosen_why"]) == ("4", "folds", "mean of steps 2 and 7")
    assert json.loads((tmp_path / "out" / "training.json").read_text())["watched_stills"] == 2
    assert all(outcome.passed for outcome in judge(result))
    assert curve_plot(result.curve, result.chosen_step, result.chosen_by, watched=True).width > 600

    picked = train(on_all_stills(job, (2, 7)), pick=Pick(result.training, 6, 0.5, "ann", ""))
    assert (picked.chosen_step, picked.chosen_by, picked.strength) == (6, "ann", 0.5)
    other = train(on_all_stills(job, (2, 7)), pick=Pick("another", 6, 0.5, "ann", ""))
    assert other.chosen_step == 4
    assert "and the folds chose" in other.pick_unused


def test_a_fold_is_nothing_to_pick_of(job: TrainingJob, train: Callable[..., TrainingResult]) -> None:
    whole = train(on_all_stills(job, (2, 2)))
    fold = train(replace(job, pickable=False, work=job.work.with_name("first")))
    assert (fold.chosen_by, fold.held_out_stills, fold.watched_stills) == ("held-out loss", 2, 0)
    assert newest_training(job.store, RECIPE.slug, "nolan") == whole.training
    assert FinishedSteps(job.store, fold.training).steps() == FinishedSteps(job.store, whole.training).steps()


def test_a_fold_knows_what_it_does_not_hold_out(job: TrainingJob) -> None:
    assert with_split(job, SECOND).learned == {still: split for still, split in SECOND.items() if split != "held_out"}
    assert on_all_stills(job, (2, 2)).learned == dict.fromkeys(sorted(ALL), "train")
