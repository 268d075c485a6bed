"""`director run`, from stills to a model card: what it makes, what it reuses, and what it says."""

import json
import re
import shutil
from pathlib import Path

import dagster as dg
import pytest

from director_diffusion.captions.rows import Caption
from director_diffusion.publishing.publish import Publication
from director_diffusion.sampling.rows import Sample
from director_diffusion.stills.rows import STILLS_FILE, Still
from pipelines.build import build_definitions
from pipelines.jobs import reevaluation_name
from pipelines.surroundings import read_surroundings
from resources.making import FRESH_TAG
from resources.process_tags import PID
from tests.small_configs import change, read, surroundings_of
from tests.tiny_project import STAGES, WHOLE_RUN, TinyProject

KEYS = {
    "director", "stills_kept", "stills_rejected", "captions", "steps", "style_effect", "style_interval",
    "prompt_effect", "prompt_interval", "verdict", "model_card", "reused", "seconds",
}  # fmt: skip
SHARED = ["mini/latents", "mini/prompt_embeddings"]
OF_RECIPE = [
    "adapter", "samples", "evaluation", "votes", "release_samples", "release_evaluation", "model_card",
    "published_model",
]  # fmt: skip
ROOTS_OF_RECIPE = ["pick", "published_before", "sign_off"]


@pytest.fixture
def project(made: TinyProject, tmp_path: Path) -> TinyProject:
    """A copy of what nolan has, to be changed."""
    return made.copy(tmp_path / "project")


def pictures(project: TinyProject, recipe: str = "mini_lora") -> int:
    """How many the adapter's arm has; a release has the draft's too."""
    rows = project.latest(f"{recipe}/release_samples", "nolan").table("samples.parquet", Sample)
    return sum(row.arm == "adapter" for row in rows)


def changed(before: dict[str, tuple[str, str]], after: dict[str, tuple[str, str]]) -> list[str]:
    """Stages whose key is another, in lineage order."""
    return [stage for stage in STAGES if before.get(stage, ("",))[0] != after[stage][0]]


def test_a_second_run_reuses_every_stage_and_tells_the_same(made: TinyProject) -> None:
    before, items = made.artifacts("nolan"), made.items()
    assert list(before) == list(STAGES)
    outcome = made.run("nolan")
    assert outcome.code == 0, outcome.err
    (row,) = outcome.rows
    assert set(row) >= KEYS
    assert (row["director"], row["stills_kept"], row["stills_rejected"], row["steps"]) == ("nolan", 16, 0, 6)
    captions = made.latest("captions", "nolan").table("captions.parquet", Caption)
    assert row["captions"] == sum(caption.status == "ok" for caption in captions) >= 14
    for effect in ("style", "prompt"):
        low, high = row[f"{effect}_interval"]
        assert low <= row[f"{effect}_effect"] <= high
    assert row["verdict"] in ("pass", "fail", "undecided")
    assert Path(row["model_card"]).is_file()
    assert row["reused"] == WHOLE_RUN
    assert row["errors"] == []
    assert made.artifacts("nolan") == before
    assert made.items() == items
    made.assert_whole("nolan")


def test_the_table_names_the_director_the_card_and_the_ui(made: TinyProject) -> None:
    outcome = made.director("run", "nolan", "--until", "stills")
    assert outcome.code == 0, outcome.err
    assert "nolan" in outcome.out
    assert "16/0" in outcome.out
    assert made.store.full(f"{made.latest('mini_lora/model_card', 'nolan').folder}/repo/README.md") in outcome.out
    assert "make dev" in outcome.out


def test_an_edited_caption_computes_one_caption_and_one_embedding(project: TinyProject) -> None:
    before, items = project.artifacts("nolan"), project.items()
    caption = min(project.stills("nolan").glob("*/*.txt"))
    caption.write_text("a green tower beside two cars on a street at night, wide shot\n")
    outcome = project.run("nolan")
    assert outcome.code == 0, outcome.err
    after = project.artifacts("nolan")
    first, *others = OF_RECIPE
    recipe = [f"mini_lora/{name}" for name in (first, "published_before", *others)]
    assert changed(before, after) == ["written_captions", "captions", "mini/prompt_embeddings", *recipe]
    new = sorted(set(project.items()) - set(items))
    assert {name: mark for name, mark in project.items().items() if name in items} == items, "nothing is written twice"
    kinds = [name.split("/")[0] for name in new]
    assert kinds.count("prompts") == 1
    assert kinds.count("latents") == 0
    assert kinds.count("captions") == 0, "a person's caption asks no model"
    assert kinds.count("images") == pictures(project) >= 4, "the adapter's arm alone is drawn anew"
    texts = [row.text for row in project.latest("captions", "nolan").table("captions.parquet", Caption)]
    assert sum("green tower" in text for text in texts) == 1
    assert project.artifacts("fincher") == {}

    caption.unlink()  # and without a person's caption, the model is asked for that still alone
    assert project.run("nolan", "--until", "captions").code == 0
    answers = {Path(name) for name in set(project.items()) - set(items) if name.startswith("captions/")}
    assert len({path.name.split(".")[0] for path in answers}) == 1, "one still, asked about once or once more"


@pytest.mark.xdist_group("children")
def test_directors_side_by_side_end_as_in_turn(tmp_path: Path) -> None:
    directors, found = ("nolan", "fincher"), []
    for count in ("1", "2"):
        project = TinyProject.make(tmp_path / count, directors=directors)
        outcome = project.run(*directors, "--until", "stills", "--at-once", count)
        assert outcome.code == 0, outcome.err
        assert [row["director"] for row in outcome.rows] == list(directors)
        found.append([project.artifacts(director) for director in directors])
        with project.instance() as instance:
            assert len({run.tags[PID] for run in instance.get_runs()}) == int(count)
        project.assert_whole("fincher")
    assert found[0] == found[1]


def test_no_more_run_side_by_side_than_there_are_gpus(project: TinyProject) -> None:
    outcome = project.run("nolan", "fincher", "--at-once", "2", DIRECTOR_DEPLOYMENT="gpu")
    assert outcome.code == 1
    assert "--at-once 2: is more than the GPUs of deployment gpu: 1" in outcome.err


def test_until_stops_there_and_other_directors_are_untouched(project: TinyProject) -> None:
    before = project.artifacts("nolan")
    outcome = project.run("fincher", "--until", "captions")
    assert outcome.code == 0, outcome.err
    for stage in ("fincher +stills: ", "fincher +captions: "):
        assert re.search(stage, outcome.err), "a bar for each stage that works"
    assert list(project.artifacts("fincher")) == [
        "raw_stills",
        "still_decisions",
        "written_captions",
        "director",
        "stills",
        "captions",
    ]
    (row,) = outcome.rows
    assert row["stills_kept"] == 16
    assert row["captions"] >= 14
    assert row["steps"] is row["verdict"] is row["model_card"] is None
    assert project.artifacts("nolan") == before


def test_a_directors_file_can_block_what_follows_and_let_it_on_again(project: TinyProject) -> None:
    before = project.artifacts("nolan")
    original = read(project.configs, "directors/nolan")
    change(project.configs, "directors/nolan", min_captioned=1.0)
    blank = min(project.stills("nolan").glob("*/*.txt"))
    text = blank.read_text()
    blank.write_text("")  # no usable caption of a person, and the tiny captioner's are refused
    outcome = project.run("nolan")
    assert outcome.code == 1
    assert "captions: the check " in outcome.err
    assert "min_captioned" in outcome.err
    assert "Traceback" not in outcome.err
    assert outcome.rows[0]["errors"]
    after = project.artifacts("nolan")
    assert changed(before, after) == ["written_captions", "director", "stills", "captions"], "nothing below it ran on"
    assert after["stills"][1] == before["stills"][1], "other rules, the same stills"
    project.assert_whole("nolan")

    blank.write_text(text)
    (project.configs / "directors" / "nolan.yaml").write_text(json.dumps(original))
    outcome = project.run("nolan")
    assert outcome.code == 0, outcome.err
    assert outcome.rows[0]["reused"] == WHOLE_RUN, "back to what was made before"
    assert project.artifacts("nolan") == before


def test_the_model_card_is_a_repository_that_diffusers_loads(made: TinyProject, mini_base: Path) -> None:
    import torch
    from diffusers import FluxPipeline
    from huggingface_hub import ModelCard

    repo = made.latest("mini_lora/model_card", "nolan").local_folder / "repo"
    card = ModelCard.load(repo / "README.md")
    assert card.data.base_model == "director-diffusion/mini"
    assert card.data.instance_prompt == "nolan style"
    for widget in card.data.to_dict()["widget"]:
        assert (repo / widget["output"]["url"]).is_file()
    assert not [path for path in repo.rglob("*") if "still_" in path.name], "never a still"
    pipeline = FluxPipeline.from_pretrained(mini_base, torch_dtype=torch.float32)
    pipeline.load_lora_weights(repo)
    (adapter,) = pipeline.get_active_adapters()
    assert adapter
    layers = {name for name, _ in pipeline.transformer.named_modules() if name.endswith(f"lora_A.{adapter}")}
    assert len(layers) == json.loads(made.latest("mini_lora/adapter", "nolan").read("training.json"))["adapted_linears"]


def test_the_verdict_decides_and_the_publication_says_why(project: TinyProject) -> None:
    publication = Publication.read(project.latest("mini_lora/published_model", "nolan").local_folder)
    verdict = project.latest("mini_lora/release_evaluation", "nolan").json("verdict.json")["outcome"]
    assert verdict != "pass", "six steps teach nothing"
    assert publication.status == "withheld"
    assert verdict in publication.reason
    assert not project.store.names("hub")


def test_a_reevaluation_draws_and_scores_anew_and_trains_nothing(project: TinyProject) -> None:
    before, items = project.artifacts("nolan"), project.items()
    definitions = build_definitions(read_surroundings(surroundings_of(project.folder)))
    with project.instance() as instance:
        result = definitions.resolve_job_def(reevaluation_name("mini_lora")).execute_in_process(
            instance=instance, partition_key="nolan", tags={FRESH_TAG: "2026-w47"}
        )
    assert result.success
    after = project.artifacts("nolan")
    assert changed(before, after) == ["mini_lora/samples", "mini_lora/evaluation"]
    new = sorted(set(project.items()) - set(items))
    rows = project.latest("mini_lora/samples", "nolan").table("samples.parquet", Sample)
    canary = {entry.label: entry.value for entry in project.latest("mini/canary", None).manifest.metadata}
    drawn = [name for name in new if name.startswith("images/")]
    assert len(drawn) == len(rows) + canary["pictures"], "every image is drawn anew, and the canary's"
    assert canary["changed"] == 0
    assert {name.split("/")[0] for name in new} == {"images", "embeddings"}
    for name in ("mini_lora/samples", "mini_lora/evaluation"):
        assert after[name][0] != before[name][0], "another key"
        assert after[name][1] == before[name][1], "without drift, the same content: nothing downstream goes stale"

    outcome = project.run("nolan")
    assert outcome.code == 0, outcome.err
    assert outcome.rows[0]["reused"] == WHOLE_RUN
    assert project.artifacts("nolan")["mini_lora/evaluation"] == after["mini_lora/evaluation"]


def test_recipes_of_one_base_share_its_latents_prompts_and_images(project: TinyProject) -> None:
    recipes = project.configs / "recipes"
    shutil.copy(recipes / "mini_lora.yaml", recipes / "mini_small.yaml")
    change(project.configs, "recipes/mini_small", adapter={"kind": "lora", "rank": 2, "alpha": 2})
    change(project.configs, "projects/demo", recipes=["mini_lora", "mini_small"])
    before, items = project.artifacts("nolan"), project.items()
    outcome = project.run("nolan", "--recipe", "mini_small")
    assert outcome.code == 0, outcome.err
    (row,) = outcome.rows
    assert (row["recipe"], row["reused"]) == ("mini_small", WHOLE_RUN - len(OF_RECIPE) - len(ROOTS_OF_RECIPE))
    assert project.artifacts("nolan") == before
    kinds = [name.split("/")[0] for name in set(project.items()) - set(items)]
    assert (kinds.count("latents"), kinds.count("prompts"), kinds.count("captions")) == (0, 0, 0)
    assert kinds.count("images") == pictures(project, "mini_small"), "both base arms are shared"


def test_blocked_stills_stay_to_be_looked_at(project: TinyProject) -> None:
    stills = sorted(project.stills("nolan").glob("*/*.jpg"))
    for path in stills[5:]:
        path.unlink()
    outcome = project.run("nolan")
    assert outcome.code == 1
    assert "stills: the check enough_distinct_stills failed. 5 distinct stills of 5 files" in outcome.err
    assert outcome.rows[0]["stills_kept"] == 5
    assert len(project.latest("stills", "nolan").table(STILLS_FILE, Still)) == 5

    definitions = build_definitions(read_surroundings(surroundings_of(project.folder)))
    with project.instance() as instance:
        later = definitions.resolve_job_def("make_mini_lora").execute_in_process(
            instance=instance,
            partition_key="nolan",
            asset_selection=[dg.AssetKey(["mini", "latents"])],
            raise_on_error=False,
        )
    (failure,) = later.get_step_failure_events()
    assert "enough_distinct_stills" in str(failure.step_failure_data.error)
    project.assert_whole("nolan")
