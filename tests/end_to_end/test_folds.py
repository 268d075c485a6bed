"""Two folds, for real: two adapters that each lack a fold's stills, a third that learned all, and their pictures."""

import json
import shutil
from collections import Counter
from pathlib import Path

import dagster as dg
import pytest

from director_diffusion.evaluation.types import EFFECTS_FILE
from director_diffusion.hashing import hash_file
from director_diffusion.sampling.rows import ARMS, FOLD_ARMS, Sample
from director_diffusion.stills.learned import learned_of
from director_diffusion.stills.rows import STILLS_FILE, Split, Still
from director_diffusion.stills.split import second_fold
from director_diffusion.training.picks import newest_training
from pipelines.build import build_definitions
from pipelines.surroundings import read_surroundings
from tests.small_configs import change, surroundings_of
from tests.tiny_project import TinyProject

WEIGHTS = "pytorch_lora_weights.safetensors"
FOLDS = ("mini_lora/first_fold_adapter", "mini_lora/second_fold_adapter")


@pytest.fixture(scope="module")
def asked(made: TinyProject, tmp_path_factory: pytest.TempPathFactory) -> TinyProject:
    """What nolan has by one fold, where the plan now asks for two; read it, or copy it."""
    project = made.copy(tmp_path_factory.mktemp("asked") / "project")
    change(project.configs, "evaluations/mini", folds=2)
    return project


@pytest.fixture(scope="module")
def folded(asked: TinyProject, tmp_path_factory: pytest.TempPathFactory) -> TinyProject:
    """The same when it was run; read it, or copy it."""
    project = asked.copy(tmp_path_factory.mktemp("folded") / "project")
    outcome = project.run("nolan")
    assert outcome.code == 0, outcome.err
    return project


def splits_of(project: TinyProject, stage: str) -> dict[str, Split]:
    """What each still was to an adapter: held out is what it does not say that it knows."""
    kept = [row.still for row in project.latest("stills", "nolan").table(STILLS_FILE, Still) if row.status == "kept"]
    return {**dict.fromkeys(kept, "held_out"), **learned_of(project.latest(stage, "nolan"))}


def test_each_fold_lacks_its_stills_and_the_released_adapter_none(made: TinyProject, folded: TinyProject) -> None:
    stills = [row for row in folded.latest("stills", "nolan").table(STILLS_FILE, Still) if row.status == "kept"]
    first, second = (splits_of(folded, stage) for stage in FOLDS)
    assert first == {row.still: row.split for row in stills}
    assert second == second_fold(stills, 0.2)
    away = [{still for still, split in fold.items() if split != "train"} for fold in (first, second)]
    assert away[0]
    assert away[1]
    assert away[0].isdisjoint(away[1])
    assert splits_of(folded, "mini_lora/adapter") == dict.fromkeys(first, "train")
    paths = [folded.latest(stage, "nolan").path(WEIGHTS) for stage in (*FOLDS, "mini_lora/adapter")]
    assert len({hash_file(path) for path in paths}) == 3

    results = [folded.latest(stage, "nolan").json("training.json") for stage in FOLDS]
    assert results[0] == made.latest("mini_lora/adapter", "nolan").json("training.json"), "as one fold's adapter"
    released = folded.latest("mini_lora/adapter", "nolan").json("training.json")
    steps = [result["chosen_step"] for result in results]
    assert released["chosen_by"] == f"folds: mean of steps {steps[0]} and {steps[1]}"
    assert min(steps) <= released["chosen_step"] <= max(steps)
    assert (released["train_stills"], released["held_out_stills"]) == (len(stills), 0)
    assert newest_training(folded.store, "mini_lora", "nolan") == released["training"], "nothing is picked of a fold"
    assert not list((folded.folder / "store" / "work").rglob("step-*")), "no checkpoint is left"


def test_the_folds_pictures_are_all_that_is_drawn_beside_the_adapters(made: TinyProject, folded: TinyProject) -> None:
    rows = folded.latest("mini_lora/samples", "nolan").table("samples.parquet", Sample)
    each = len(made.latest("mini_lora/samples", "nolan").table("samples.parquet", Sample)) // len(ARMS)
    assert Counter(row.arm for row in rows) == dict.fromkeys((*ARMS, *FOLD_ARMS), each)
    assert all(not row.reference or folded.store.exists(row.reference) for row in rows)
    drawn = {row.reference for row in rows if row.arm in ("base", "base_in_style", "first_fold")}
    assert {name.removeprefix("cache/") for name in drawn} <= set(made.items()), (
        "the first fold's is the adapter of one"
    )


def test_the_verdict_is_spoken_over_both_folds_and_the_card_says_so(folded: TinyProject) -> None:
    stills = folded.latest("stills", "nolan").table(STILLS_FILE, Still)
    held_out = [sum(split == "held_out" for split in splits_of(folded, stage).values()) for stage in FOLDS]
    found = folded.latest("mini_lora/release_evaluation", "nolan").json(EFFECTS_FILE)
    assert (found["folds"], found["held_out"]) == (2, sum(held_out))
    card = folded.latest("mini_lora/model_card", "nolan")
    (readme,) = (file.name for file in card.manifest.files if file.name.endswith("README.md"))
    words = " ".join(card.read(readme).decode().split())
    kept = sum(row.status == "kept" for row in stills)
    assert f"The published adapter learned all {kept} stills" in words
    assert "over other stills of the director too, each in four of five trials" in words


def test_what_was_made_by_one_fold_is_found_again(made: TinyProject, folded: TinyProject, tmp_path: Path) -> None:
    project = folded.copy(tmp_path / "project")
    change(project.configs, "evaluations/mini", folds=1)
    back = project.run("nolan", "--until", "samples")
    assert back.code == 0, back.err
    for stage in ("mini_lora/adapter", "mini_lora/samples"):
        assert project.latest(stage, "nolan").folder == made.latest(stage, "nolan").folder


def test_a_released_adapter_may_be_picked_of_and_a_still_is_traced_to_it(folded: TinyProject, tmp_path: Path) -> None:
    project = folded.copy(tmp_path / "project")
    listed = project.director("pick", "nolan")
    assert "loss of learned stills" in listed.out
    assert "least" not in listed.out
    chosen = project.latest("mini_lora/adapter", "nolan").json("training.json")["chosen_step"]
    other = 9 - chosen  # of steps 3 and 6
    assert project.director("pick", "nolan", "--step", str(other), "--who", "ann").code == 0
    outcome = project.run("nolan", "--until", "adapter")
    assert outcome.code == 0, outcome.err
    result = project.latest("mini_lora/adapter", "nolan").json("training.json")
    assert (result["chosen_step"], result["chosen_by"]) == (other, "ann")

    held_out = next(still for still, split in splits_of(project, FOLDS[0]).items() if split == "held_out")
    traced = project.director("trace", "--still", held_out, "--json")
    assert traced.code == 0, traced.err
    told = json.loads(traced.out)
    splits = {use["asset"]: use["split"] for use in told["uses"] if use["latest"]}
    assert splits["mini_lora/adapter"] == splits[FOLDS[1]] == "train"
    assert splits[FOLDS[0]] == "held_out"


def test_folds_of_other_captions_choose_no_step(folded: TinyProject, tmp_path: Path) -> None:
    """A caption edited between the folds and the release: what chose the step is no more what is trained."""
    project = folded.copy(tmp_path / "project")
    still = sorted(project.stills("nolan").glob("*/*.jpg"))[0]
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


def test_stills_without_a_second_fold_are_told_before_anything_is_trained(asked: TinyProject, tmp_path: Path) -> None:
    project = asked.copy(tmp_path / "project")
    first, *others = sorted(path for path in project.stills("nolan").iterdir() if path.is_dir())
    for film in others:
        shutil.rmtree(film)
    for path in sorted(first.glob("*.jpg"))[4:]:
        path.unlink()
    change(project.configs, "directors/nolan", stills={"min_distinct": 3})
    outcome = project.run("nolan", "--until", "adapter")
    assert outcome.code == 1
    assert "second fold: of 4 stills in 1 film(s)" in outcome.err
    assert "give the plan `folds: 1`" in outcome.err
    assert not project.store.names("assets/mini_lora/first_fold_adapter/nolan")
