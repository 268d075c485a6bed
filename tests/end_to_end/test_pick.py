"""`director pick`: a person's choice goes stale, is run without training, and is told wherever the adapter goes."""

import json
from pathlib import Path

import dagster as dg
import pytest
import torch
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest
from safetensors.torch import load_file

from director_diffusion.training.finished import FinishedSteps
from director_diffusion.training.header import read_header
from director_diffusion.training.state import TrainingState
from pipelines.build import build_definitions
from pipelines.surroundings import read_surroundings
from tests.small_configs import change, read, surroundings_of
from tests.tiny_project import STAGES, WHOLE_RUN, TinyProject

WEIGHTS = "pytorch_lora_weights.safetensors"
STEPS = (3, 6)


@pytest.fixture
def project(made: TinyProject, tmp_path: Path) -> TinyProject:
    """A copy of what nolan has, to be changed."""
    return made.copy(tmp_path / "project")


@pytest.fixture
def learned(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of each step that is learned."""
    steps: list[int] = []
    original = TrainingState.learn

    def counting(self: TrainingState, *arguments: object) -> None:
        original(self, *arguments)  # type: ignore[arg-type]
        steps.append(self.step)

    monkeypatch.setattr(TrainingState, "learn", counting)
    return steps


def stale(project: TinyProject) -> set[str]:
    """What Dagster calls stale of nolan."""
    graph = build_definitions(read_surroundings(surroundings_of(project.folder))).resolve_asset_graph()
    with project.instance() as instance:
        resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
        return {
            name for name in STAGES if resolver.get_status(dg.AssetKey(name.split("/")), "nolan") is StaleStatus.STALE
        }


def adapter_facts(project: TinyProject) -> dict[str, object]:
    """What the UI shows of the adapter."""
    return {entry.label: entry.value for entry in project.latest("mini_lora/adapter", "nolan").manifest.metadata}


def weights(project: TinyProject) -> dict[str, torch.Tensor]:
    return load_file(project.latest("mini_lora/adapter", "nolan").path(WEIGHTS))


def test_a_pick_is_an_input_like_any_other(project: TinyProject, learned: list[int]) -> None:
    before, facts = project.artifacts("nolan"), adapter_facts(project)
    assert facts["chosen by"] == "held-out loss"
    assert {"previews", "strengths", "training curve", "previews' share of the time"} <= facts.keys()
    assert stale(project) == set()
    step = next(step for step in STEPS if step != facts["chosen step"])

    listed = project.director("pick", "nolan")
    assert listed.code == 0, listed.err
    assert "least held-out loss" in listed.out
    assert project.artifacts("nolan") == before, "looking changes nothing"

    unkept = project.director("pick", "nolan", "--step", "4")
    assert (unkept.code, "step 4: was not kept. Pick one of 3, 6" in unkept.err) == (1, True)

    picked = project.director(
        "pick", "nolan", "--step", str(step), "--strength", "0.5", "--who", "ann", "--why", "softer light"
    )
    assert picked.code == 0, picked.err
    assert "director run nolan --recipe mini_lora" in picked.out
    assert stale(project) == {"mini_lora/adapter"}
    assert "picked by ann at strength 0.5" in project.director("pick", "nolan").out

    outcome = project.run("nolan")
    assert outcome.code == 0, outcome.err
    assert learned == []
    assert stale(project) == set()
    after, told = project.artifacts("nolan"), adapter_facts(project)
    again = [stage for stage in STAGES if after[stage][0] != before[stage][0]]
    names = ("pick", "adapter", "published_before", "samples", "evaluation")
    assert again[:5] == [f"mini_lora/{name}" for name in names]
    assert (told["chosen step"], told["strength"], told["chosen by"]) == (step, 0.5, "ann: softer light")
    assert "previews' share of the time" not in told, "nothing was trained"
    assert {"previews", "strengths"} <= told.keys()

    finished = FinishedSteps(project.store, str(told["training"])).load(step).weights
    for name, tensor in weights(project).items():
        kept = finished[name.removeprefix("transformer.")]
        assert torch.equal(tensor, kept * 0.5 if ".lora_B." in name else kept), name
    header = read_header(project.latest("mini_lora/adapter", "nolan").path(WEIGHTS))
    assert (header["step"], header["strength"], header["chosen_by"], header["chosen_why"]) == (
        str(step), "0.5", "ann", "softer light",
    )  # fmt: skip
    repo = project.latest("mini_lora/model_card", "nolan").local_folder / "repo"
    card = " ".join((repo / "README.md").read_text().split())
    assert f'after step {step}, at strength 0.5, picked by ann ("softer light")' in card
    assert json.loads((repo / "provenance.json").read_text())["adapter"]["header"] == header

    cleared = project.director("pick", "nolan", "--clear")
    assert cleared.code == 0, cleared.err
    assert stale(project) == {"mini_lora/adapter"}
    outcome = project.run("nolan")
    assert outcome.rows[0]["reused"] == WHOLE_RUN, "back to what was made before"
    assert project.artifacts("nolan") == before
    assert learned == []


def test_a_pick_of_another_training_is_warned_of(project: TinyProject) -> None:
    assert project.director("pick", "nolan", "--step", "3").code == 0
    change(project.configs, "recipes/mini_lora", seed=5)
    outcome = project.run("nolan", "--until", "adapter")
    assert outcome.code == 0, outcome.err
    checks = {check.name: check for check in project.latest("mini_lora/adapter", "nolan").manifest.checks}
    assert not checks["pick_holds"].passed
    assert not checks["pick_holds"].blocking
    assert "was made of another training" in checks["pick_holds"].description
    assert checks["pick_holds"].description in project.director("pick", "nolan").out
    assert adapter_facts(project)["chosen by"] == "held-out loss"


def test_another_preview_prompt_trains_nothing_and_is_drawn(project: TinyProject, learned: list[int]) -> None:
    before, facts = project.artifacts("nolan"), adapter_facts(project)
    previews = read(project.configs, "evaluations/mini")["previews"]
    change(
        project.configs,
        "evaluations/mini",
        previews={**previews, "prompts": [*previews["prompts"], "a white tower on sand at night"]},
    )
    outcome = project.run("nolan", "--until", "samples")
    assert outcome.code == 0, outcome.err
    assert learned == []
    after = project.artifacts("nolan")
    changed = [stage for stage in STAGES if after[stage][0] != before[stage][0]]
    assert changed == ["mini/prompt_embeddings", "mini_lora/adapter"], "the same adapter: nothing is drawn of it anew"
    assert after["mini_lora/adapter"][1] == before["mini_lora/adapter"][1]
    assert adapter_facts(project)["previews"] != facts["previews"]


def test_a_recipe_goes_on_from_anothers_adapter_and_holds_on_to_the_bases_pictures(
    project: TinyProject, learned: list[int]
) -> None:
    recipe = read(project.configs, "recipes/mini_lora")
    more = {
        **recipe,
        "init_from": "mini_lora",
        "prior": {"pictures": 3, "steps": 2, "weight": 0.5},
        "optimizer": {"kind": "adamw", "lr": 1.0e-9, "weight_decay": 0.0},
    }
    (project.configs / "recipes" / "mini_more.yaml").write_text(json.dumps(more))
    change(project.configs, "projects/demo", recipes=["mini_lora", "mini_more"])
    before = project.artifacts("nolan")
    outcome = project.run("nolan", "--recipe", "mini_more", "--until", "adapter")
    assert outcome.code == 0, outcome.err
    assert learned == [1, 2, 3, 4, 5, 6], "six of its own"
    assert project.artifacts("nolan") == before
    prior, adapter = project.latest("mini_more/prior", "nolan"), project.latest("mini_more/adapter", "nolan")
    assert {entry.label: entry.value for entry in prior.manifest.metadata}["pictures"] == 3
    assert all(project.store.exists(reference) for reference in prior.manifest.references)
    assert {"mini_lora/adapter", "mini_more/prior"} <= adapter.manifest.inputs.keys()
    start, end = weights(project), load_file(adapter.path(WEIGHTS))
    assert start.keys() == end.keys()
    for name, tensor in start.items():
        torch.testing.assert_close(end[name], tensor, atol=1e-6, rtol=0)  # six steps of at most 1e-9 each

    # Another adapter to start from is another training.
    assert project.director("pick", "nolan", "--recipe", "mini_lora", "--step", "3", "--strength", "0.5").code == 0
    learned.clear()
    outcome = project.run("nolan", "--recipe", "mini_more", "--until", "adapter")
    assert outcome.code == 0, outcome.err
    assert learned == [1, 2, 3, 4, 5, 6]
    assert project.latest("mini_more/adapter", "nolan").manifest.key != adapter.manifest.key
    assert project.latest("mini_more/prior", "nolan").manifest.key == prior.manifest.key
