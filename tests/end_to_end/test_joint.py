"""One adapter of all directors, for real: refused while a director lacks something, judged for each, told by whom."""

import json
from pathlib import Path

import pytest

from director_diffusion.evaluation.beside import beside_from
from director_diffusion.evaluation.types import Evaluation
from director_diffusion.hashing import hash_file
from director_diffusion.sampling.rows import ARMS, Sample
from director_diffusion.stills.learned import learned_of
from director_diffusion.stills.rows import STILLS_FILE, Still
from director_diffusion.training.header import read_header
from tests.small_configs import change
from tests.tiny_project import JOINT, OF_JOINT, TinyProject

WEIGHTS = "pytorch_lora_weights.safetensors"
DIRECTORS = ("fincher", "nolan")
ADAPTER, OVERVIEW = JOINT


@pytest.fixture(scope="module")
def alone(made: TinyProject, tmp_path_factory: pytest.TempPathFactory) -> TinyProject:
    """Nolan has all, fincher nothing; read it, or copy it."""
    return made.copy(tmp_path_factory.mktemp("alone") / "project")


@pytest.fixture(scope="module")
def joint(both: TinyProject, tmp_path_factory: pytest.TempPathFactory) -> TinyProject:
    """Both with adapters of their own, and one of both; read it, or copy it."""
    project = both.copy(tmp_path_factory.mktemp("joint") / "project")
    outcome = project.director("joint", "--json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["mini_lora"] == project.latest(OVERVIEW, None).json("overview.json")
    return project


def kept(project: TinyProject, director: str) -> dict[str, str]:
    rows = project.latest("stills", director).table(STILLS_FILE, Still)
    return {row.still: row.split for row in rows if row.status == "kept"}


def samples_of(project: TinyProject, stage: str, director: str) -> dict[tuple[str, int, int], Sample]:
    rows = project.latest(stage, director).table("samples.parquet", Sample)
    return {(row.arm, row.prompt_index, row.seed): row for row in rows}


def test_it_is_refused_while_a_director_lacks_something(alone: TinyProject) -> None:
    outcome = alone.director("joint")
    assert outcome.code == 1
    told = " ".join(outcome.err.split())
    assert "mini_lora/joint_adapter: is of all directors of the project, and there is no usable mini/latents" in told
    assert "mini/latents and no mini/prompt_embeddings and no director of fincher. Make them first" in told
    assert "(director run fincher --recipe mini_lora)" in told
    assert not alone.store.names("assets/mini_lora/joint_adapter")


def test_a_recipe_that_asks_for_none_has_none(alone: TinyProject, tmp_path: Path) -> None:
    project = alone.copy(tmp_path / "project")
    change(project.configs, "recipes/mini_lora", joint=None)
    outcome = project.director("joint")
    assert (outcome.code, "mini_lora: asks for no adapter of all directors" in outcome.err) == (1, True)


def test_it_learned_what_each_director_teaches_and_nothing_that_judges(joint: TinyProject) -> None:
    adapter = joint.latest(ADAPTER, None)
    for director in DIRECTORS:
        own = {still: split for still, split in kept(joint, director).items() if split != "held_out"}
        assert learned_of(adapter, director) == own
        assert learned_of(joint.latest(OF_JOINT[0], director)) == own
    header = read_header(adapter.path(WEIGHTS))
    assert json.loads(header["triggers"]) == {slug: f"{slug} style" for slug in DIRECTORS}
    (check,) = adapter.manifest.checks
    assert (check.name, check.passed) == ("adapter_reloads", True)
    labels = [entry.label for entry in adapter.manifest.metadata]
    assert {"training curve", "previews", "strengths"} <= set(labels)


def test_it_is_judged_for_each_director_beside_the_ones_own(joint: TinyProject) -> None:
    version = hash_file(joint.latest(ADAPTER, None).path(WEIGHTS))
    assert version not in {hash_file(joint.latest("mini_lora/adapter", slug).path(WEIGHTS)) for slug in DIRECTORS}
    pictures = set()
    for director in DIRECTORS:
        drawn, own = (samples_of(joint, stage, director) for stage in ("mini_lora/joint_samples", "mini_lora/samples"))
        assert drawn.keys() == own.keys()
        same = {arm for arm in ARMS if all(drawn[key] == own[key] for key in drawn if key[0] == arm)}
        assert same == {"base", "base_in_style"}, "of whose pictures not one was drawn again"
        pictures |= {row.sha256 for row in drawn.values() if row.arm == "adapter"}
        ours, theirs = (
            Evaluation.read(joint.latest(stage, director).local_folder)
            for stage in ("mini_lora/joint_evaluation", "mini_lora/evaluation")
        )
        assert set(ours.confusion["adapter"]) == set(DIRECTORS)
        beside = beside_from(joint.latest("mini_lora/joint_evaluation", director).json("beside.json"))
        assert (beside.of, beside.other, beside.why_not) == ("joint_adapter", "adapter", "")
        difference = beside.difference(ours.style)
        assert difference is not None
        effects = [one.effect(one.style, "base").mean for one in (ours, theirs)]
        assert difference.mean == pytest.approx(effects[0] - effects[1], abs=1e-6)
    assert len(pictures) == 2 * 4, "each trigger draws pictures of its own"


def test_the_overview_tells_of_all_and_of_this_very_adapter(joint: TinyProject, tmp_path: Path) -> None:
    found = joint.latest(OVERVIEW, None).json("overview.json")
    assert sorted(found["directors"]) == list(DIRECTORS)
    assert {slug: sorted(row) for slug, row in found["confusion"].items()} == {one: [*DIRECTORS] for one in DIRECTORS}
    assert found["absent"] == {}

    again = joint.director("joint")
    assert again.code == 0, again.err
    assert "mini_lora, one adapter of all" in again.out
    assert str(joint.latest(ADAPTER, None).path(WEIGHTS)) in "".join(again.out.split("\n"))


def test_a_still_is_traced_to_it_and_it_to_its_stills(joint: TinyProject) -> None:
    stills = {director: kept(joint, director) for director in DIRECTORS}
    learned = next(still for still, split in stills["nolan"].items() if split == "train")
    traced = json.loads(joint.director("trace", "--still", learned, "--json").out)
    version = hash_file(joint.latest(ADAPTER, None).path(WEIGHTS))
    assert version in {use["adapter_version"] for use in traced["learned"]}
    used = {(use["asset"], use["director"]) for use in traced["uses"]}
    assert {(stage, director) for stage in OF_JOINT for director in DIRECTORS} <= used
    away = next(still for still, split in stills["nolan"].items() if split == "held_out")
    traced = json.loads(joint.director("trace", "--still", away, "--json").out)
    assert version not in {use["adapter_version"] for use in traced["learned"]}
    assert "several" not in joint.director("trace", "--still", away).out

    outcome = joint.director("trace", str(joint.latest(ADAPTER, None).path(WEIGHTS)), "--json")
    assert outcome.code == 0, outcome.err
    back = json.loads(outcome.out)
    assert {one["still"] for one in back["stills"]} == stills["nolan"].keys() | stills["fincher"].keys()
    assert {one["asset"] for one in back["judgements"]} == {f"{OF_JOINT[1]} of {slug}" for slug in DIRECTORS}
    assert back["lacking"] == []
