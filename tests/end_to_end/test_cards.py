"""What a card may be made of, and what may go out under it, when stages are materialized one by one."""

import csv
import io
from pathlib import Path

import dagster as dg
import pytest

from director_diffusion.sampling.rows import Sample
from pipelines.build import build_definitions
from pipelines.surroundings import read_surroundings
from tests.small_configs import change, surroundings_of
from tests.tiny_project import TinyProject

CARD, PUBLISHED, SIGN_OFF = (f"mini_lora/{name}" for name in ("model_card", "published_model", "sign_off"))


@pytest.fixture
def project(made: TinyProject, tmp_path: Path) -> TinyProject:
    """A copy of what nolan has, to be changed."""
    return made.copy(tmp_path / "project")


def refusal(project: TinyProject, *assets: str) -> str:
    """What is said where these alone are materialized, as a person does in the UI."""
    definitions = build_definitions(read_surroundings(surroundings_of(project.folder)))
    with project.instance() as instance:
        result = definitions.resolve_job_def("make_mini_lora").execute_in_process(
            instance=instance,
            partition_key="nolan",
            asset_selection=[dg.AssetKey(asset.split("/")) for asset in assets],
            raise_on_error=False,
        )
    (failure,) = result.get_step_failure_events()
    return str(failure.step_failure_data.error)


def test_a_card_names_the_prompts_that_were_drawn_the_directors_own_among_them(project: TinyProject) -> None:
    own = [{"text": f"a {colour} house on grass by day", "subject": "house"} for colour in ("red", "blue", "white")]
    own += [{"text": "a black car on snow at night", "subject": "car"}]
    change(project.configs, "directors/nolan", prompts=own)
    change(project.configs, "evaluations/film", margins={"memorised": 0.9})  # of so few, no less could be shown
    outcome = project.run("nolan", "--until", "model_card")
    assert outcome.code == 0, outcome.err
    drawn = {
        row.prompt for row in project.latest("mini_lora/release_samples", "nolan").table("samples.parquet", Sample)
    }
    assert drawn == {prompt["text"] for prompt in own}
    rows = csv.DictReader(io.StringIO(project.latest(CARD, "nolan").read("repo/scores.csv").decode()))
    assert {row["prompt"] for row in rows} == drawn


def test_a_card_is_not_made_of_captions_that_its_adapter_never_saw(project: TinyProject) -> None:
    """It would tell the Hub of a training that never was."""
    still = sorted(project.stills("nolan").glob("*/*.jpg"))[0]
    still.with_suffix(".txt").write_text("a red house")
    assert project.run("nolan", "--until", "captions").code == 0
    told = refusal(project, CARD)
    assert "mini/prompt_embeddings: was made of another captions than there is now" in told


def test_nothing_goes_out_signed_off_under_a_card_that_does_not_say_so(project: TinyProject) -> None:
    assert project.director("sign-off", "nolan", "--who", "ann", "--why", "six steps prove nothing").code == 0
    told = refusal(project, SIGN_OFF, PUBLISHED)
    assert "was made of another mini_lora/sign_off than there is now" in told
    assert "Materialize mini_lora/model_card first" in told
