"""Two folds, for real: two adapters that each lack a fold's stills, a third that learned all, and their pictures."""

import shutil
from collections import Counter
from pathlib import Path

import dagster as dg
import pytest

from director_diffusion.hashing import hash_file
from director_diffusion.sampling.rows import ARMS, FOLD_ARMS, Sample
from director_diffusion.stills.rows import STILLS_FILE, Still
from director_diffusion.stills.split import second_fold
from director_diffusion.training.folds import LEARNED_FILE, Learned
from director_diffusion.training.picks import newest_training
from pipelines.build import build_definitions
from pipelines.surroundings import read_surroundings
from tests.small_configs import change, surroundings_of
from tests.tiny_project import TinyProject

WEIGHTS = "pytorch_lora_weights.safetensors"
FOLDS = ("mini_lora/first_fold_adapter", "mini_lora/second_fold_adapter")


@pytest.fixture
def project(made: TinyProject, tmp_path: Path) -> TinyProject:
    """What nolan has by one fold, where the plan now asks for two."""
    project = made.copy(tmp_path / "project")
    change(project.configs, "evaluations/mini", folds=2)
    return project


def learned(project: TinyProject, stage: str) -> dict[str, str]:
    """What each still was to an adapter, as it says itself."""
    return {one.still: one.split for one in project.latest(stage, "nolan").table(LEARNED_FILE, Learned)}


def test_from_one_fold_to_two(project: TinyProject) -> None:
    single = {stage: project.latest(stage, "nolan") for stage in ("mini_lora/adapter", "mini_lora/samples")}
    drawn_before = {name for name in project.items() if name.startswith("images/")}
    outcome = project.run("nolan", "--until", "samples")
    assert outcome.code == 0, outcome.err

    stills = [row for row in project.latest("stills", "nolan").table(STILLS_FILE, Still) if row.status == "kept"]
    first, second = (learned(project, stage) for stage in FOLDS)
    assert first == {row.still: row.split for row in stills}
    assert second == second_fold(stills, 0.2)
    away = [{still for still, split in fold.items() if split != "train"} for fold in (first, second)]
    assert away[0]
    assert away[1]
    assert away[0].isdisjoint(away[1])
    assert learned(project, "mini_lora/adapter") == dict.fromkeys(first, "train")

    results = [project.latest(stage, "nolan").json("training.json") for stage in FOLDS]
    alone = single["mini_lora/adapter"].json("training.json")
    assert results[0] == alone, "the first fold is what the adapter was"
    released = project.latest("mini_lora/adapter", "nolan").json("training.json")
    steps = [result["chosen_step"] for result in results]
    assert released["chosen_by"] == f"folds: mean of steps {steps[0]} and {steps[1]}"
    assert min(steps) <= released["chosen_step"] <= max(steps)
    assert (released["train_stills"], released["held_out_stills"]) == (len(stills), 0)
    assert newest_training(project.store, "mini_lora", "nolan") == released["training"], "nothing is picked of a fold"

    rows = project.latest("mini_lora/samples", "nolan").table("samples.parquet", Sample)
    each = len(single["mini_lora/samples"].table("samples.parquet", Sample)) // len(ARMS)
    assert Counter(row.arm for row in rows) == dict.fromkeys((*ARMS, *FOLD_ARMS), each)
    new = {name for name in project.items() if name.startswith("images/")} - drawn_before
    assert len(new) == 2 * each, "bases and the first fold, which is the adapter from before, are drawn already"
    assert not (project.folder / "store" / "work" / "trainings").exists() or not list(
        (project.folder / "store" / "work" / "trainings").rglob("step-*")
    )

    again = project.run("nolan", "--until", "samples")
    assert again.code == 0, again.err
    change(project.configs, "evaluations/mini", folds=1)
    back = project.run("nolan", "--until", "samples")
    assert back.code == 0, back.err
    for stage, artifact in single.items():
        assert project.latest(stage, "nolan").folder == artifact.folder, "one fold finds what it had"


def test_folds_of_other_stills_do_not_choose_a_step(project: TinyProject) -> None:
    """A caption edited between the folds and the release: what chose the step is no more what is trained."""
    assert project.run("nolan", "--until", "second_fold_adapter").code == 0
    assert project.run("nolan", "--until", "first_fold_adapter").code == 0
    film = next(path for path in sorted(project.stills("nolan").iterdir()) if path.is_dir())
    still = next(iter(sorted(film.glob("*.jpg"))))
    still.with_suffix(".txt").write_text("a red house")
    definitions = build_definitions(read_surroundings(surroundings_of(project.folder)))
    assert project.run("nolan", "--until", "prompt_embeddings").code == 0
    with project.instance() as instance:
        result = definitions.resolve_job_def("make_mini_lora").execute_in_process(
            instance=instance,
            partition_key="nolan",
            asset_selection=[dg.AssetKey(["mini_lora", "adapter"])],
            raise_on_error=False,
        )
    (failure,) = result.get_step_failure_events()
    told = str(failure.step_failure_data.error)
    assert "was made of another mini/prompt_embeddings than there is now" in told
    assert "Materialize mini_lora/first_fold_adapter and mini_lora/second_fold_adapter first." in told


def test_stills_without_a_second_fold_are_told_before_anything_is_trained(project: TinyProject) -> None:
    films = sorted(path for path in project.stills("nolan").iterdir() if path.is_dir())
    for film in films[1:]:
        shutil.rmtree(film)
    for path in sorted(films[0].glob("*.jpg"))[4:]:
        path.unlink()
    change(project.configs, "directors/nolan", stills={"min_distinct": 3})
    outcome = project.run("nolan", "--until", "adapter")
    assert outcome.code == 1
    assert "second fold: of 4 stills in 1 film(s)" in outcome.err
    assert "give the plan `folds: 1`" in outcome.err
    assert not project.store.names("assets/mini_lora/first_fold_adapter/nolan")


def test_weights_are_three(project: TinyProject) -> None:
    assert project.run("nolan", "--until", "adapter").code == 0
    paths = [project.latest(stage, "nolan").path(WEIGHTS) for stage in (*FOLDS, "mini_lora/adapter")]
    assert len({hash_file(path) for path in paths}) == 3
