"""Few-step students in the graph: what `director run` makes where a recipe asks for them, and what it leaves alone."""

import json
from pathlib import Path

import pytest

from director_diffusion.distillation.rows import weights_file
from director_diffusion.evaluation.few_steps_types import BESIDE, FEW_STEPS_FILE, few_steps_from
from director_diffusion.evaluation.types import METRIC_NAMES
from director_diffusion.sampling.rows import Sample
from tests.small_configs import change, read
from tests.tiny_project import STAGES, WHOLE_RUN, TinyProject

MADE = ("mini_lora/turbo_adapter", "mini_lora/turbo_samples", "mini_lora/turbo_evaluation")


@pytest.fixture
def project(taught: TinyProject) -> TinyProject:
    """What nolan has, and students since; read it."""
    return taught


def rows(project: TinyProject, stage: str) -> list[Sample]:
    return list(project.latest(stage, "nolan").table("samples.parquet", Sample))


def test_students_are_made_beside_the_adapter_whose_assets_stay(made: TinyProject, project: TinyProject) -> None:
    before, after = made.artifacts("nolan"), project.artifacts("nolan")
    assert list(after) == list(STAGES)
    changed = {stage for stage in STAGES if before[stage] != after[stage]}
    assert changed <= {"mini_lora/model_card", "mini_lora/published_model"}
    taught = project.latest(MADE[0], "nolan")
    assert {file.name for file in taught.manifest.files} >= {weights_file(1), weights_file(2), "students.json"}
    assert {check.name: check.passed for check in taught.manifest.checks}["students_reload"]
    project.assert_whole("nolan")


def test_students_draw_from_the_noise_of_the_pictures_that_they_are_set_beside(project: TinyProject) -> None:
    drawn, released = rows(project, MADE[1]), rows(project, "mini_lora/release_samples")
    assert {row.arm for row in drawn} == {*BESIDE, "turbo_1", "turbo_2"}
    assert [row for row in drawn if row.arm in BESIDE] == released, "the very same pictures"
    places = [
        {(row.prompt_index, row.seed, row.full_prompt) for row in drawn if row.arm == arm}
        for arm in ("adapter", "turbo_1", "turbo_2")
    ]
    assert places[0] == places[1] == places[2]
    assert len({row.sha256 for row in drawn}) == len(drawn)


def test_each_student_has_a_verdict_by_what_it_keeps(project: TinyProject) -> None:
    artifact = project.latest(MADE[2], "nolan")
    found = few_steps_from(json.loads((artifact.path(FEW_STEPS_FILE)).read_text()))
    assert [one.count for one in found] == [1, 2]
    for one in found:
        assert one.verdict.outcome in ("pass", "fail", "undecided")
        assert [finding.name for finding in one.findings] == ["style_kept", "prompt_kept", "memorised", "diversity"]
        assert "against the adapter in all its steps" in one.findings[0].reason
        assert {found.metric for found in one.differences} <= METRIC_NAMES.keys()
        prompt = one.difference("prompt")
        assert prompt.low <= prompt.mean <= prompt.high
        assert prompt.mean == pytest.approx(prompt.ours - prompt.theirs, abs=1e-4)
    facts = {entry.label: entry.value for entry in artifact.manifest.metadata}
    assert facts["2 steps: verdict"] == found[1].verdict.outcome


def test_the_card_tells_of_all_students_and_holds_those_that_passed(project: TinyProject) -> None:
    repo = project.latest("mini_lora/model_card", "nolan").local_folder / "repo"
    text = (repo / "README.md").read_text()
    found = few_steps_from(json.loads((repo / FEW_STEPS_FILE).read_text()))
    assert [one.count for one in found] == [1, 2]
    assert "## In few steps" in text
    for one in found:
        passed = one.verdict.outcome == "pass"
        assert (repo / weights_file(one.count)).exists() == passed
        assert (f"`{weights_file(one.count)}`" in text) == passed
    assert (repo / "images/few-steps.png").stat().st_size > 1000


def test_again_nothing_is_done_and_another_student_makes_no_other_again(
    made: TinyProject, project: TinyProject, tmp_path: Path
) -> None:
    copy = project.copy(tmp_path / "project")
    (row,) = copy.run("nolan").rows
    assert row["reused"] == WHOLE_RUN + len(MADE)
    before = copy.items()
    recipe = read(copy.configs, "recipes/mini_lora")
    change(copy.configs, "recipes/mini_lora", turbo={**recipe["turbo"], "step_counts": [2]})
    (row,) = copy.run("nolan").rows
    assert row["reused"] >= WHOLE_RUN - 2
    assert copy.items() == before, "no trajectory, step or picture was made again"
    assert {row.arm for row in rows(copy, MADE[1])} == {*BESIDE, "turbo_2"}
