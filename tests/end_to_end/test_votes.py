"""Votes through the graph: cast at a booth over a real evaluation, and counted by a stage that feeds nothing."""

import json
import shutil
from pathlib import Path

import dagster as dg
import pytest

from director_diffusion.evaluation.types import Evaluation
from director_diffusion.leaderboard.rows import FILE, Entry, leaderboard_from
from director_diffusion.sampling.images import open_picture, png_bytes
from director_diffusion.storage.artifact import latest_artifact
from director_diffusion.tables import read_table
from director_diffusion.voting.booth import QUICK, Booth
from director_diffusion.voting.exhibition import Exhibition
from director_diffusion.voting.standings import JudgedVote
from pipelines.build import build_definitions
from pipelines.studio import build_booth
from pipelines.surroundings import Surroundings, read_surroundings
from resources.votes import VotesResource
from tests.small_configs import change, surroundings_of
from tests.tiny_project import STAGES, WHOLE_RUN, TinyProject

VOTES = "mini_lora/votes"


@pytest.fixture
def project(made: TinyProject, tmp_path: Path) -> TinyProject:
    """A copy of what nolan has, to be changed."""
    return made.copy(tmp_path / "project")


def surroundings(project: TinyProject) -> Surroundings:
    return read_surroundings(surroundings_of(project.folder))


def standings(project: TinyProject) -> dict[str, object]:
    found = project.latest(VOTES, "nolan").json("standings.json")
    assert isinstance(found, dict)
    return found


def vote_on_everything(project: TinyProject, booth: Booth, voter: str) -> int:
    """As somebody who finds the adapter closer to the director, and the words equally well drawn."""
    show, cast = Exhibition(project.store, ["nolan"], ["mini_lora"]).now(), 0
    by_pixels = {booth_pixels(project, shown.reference): shown.side.arm for shown in show.pictures.values()}
    while (ballot := booth.next_ballot(voter)) is not None:
        a = by_pixels[booth.picture(ballot.a)]
        booth.cast(voter, ballot.token, {"style": "A" if a == "adapter" else "B", "prompt": "tie"})
        cast += 1
    return cast


def booth_pixels(project: TinyProject, reference: str) -> bytes:
    return png_bytes(open_picture(project.store, reference), QUICK)


def ranked(project: TinyProject) -> list[Entry]:
    return leaderboard_from(latest_artifact(project.store, ("leaderboard",), None).json(FILE))


def test_director_run_ends_with_the_leaderboard_which_tells_what_is_missing(made: TinyProject) -> None:
    entries = {(one.director, one.entrant): one for one in ranked(made)}
    nolan = entries["nolan", "adapter"]
    told = made.latest("mini_lora/release_evaluation", "nolan").json("verdict.json")
    assert (nolan.verdict, nolan.tier, nolan.votes, nolan.preliminary) == (told["outcome"], "release", 0, True)
    assert nolan.notes == ()
    assert (nolan.training_steps, nolan.voted_style) == (6, None)
    assert (nolan.training_seconds or 0) > 0
    assert (nolan.images_per_second or 0) > 0
    weights = made.latest("mini_lora/adapter", "nolan").path("pytorch_lora_weights.safetensors")
    assert nolan.size_bytes == weights.stat().st_size
    absent = [one for one in entries.values() if one.director != "nolan"]
    assert all(one.verdict is None and one.notes for one in absent)


def test_nobody_has_voted_and_everything_is_made(made: TinyProject) -> None:
    found = standings(made)
    assert (found["votes"], found["preliminary"]) == (0, True)
    facts = {entry.label: entry.value for entry in made.latest(VOTES, "nolan").manifest.metadata}
    assert facts["votes"] == 0
    assert read_table(made.latest(VOTES, "nolan").path("votes.parquet"), JudgedVote) == []


def test_votes_are_counted_beside_the_evaluation_and_change_nothing_else(project: TinyProject) -> None:
    before = project.artifacts("nolan")
    booth = build_booth(surroundings(project))
    assert (project.folder / "store" / "votes" / "votes.key").stat().st_mode & 0o777 == 0o600
    cast = [vote_on_everything(project, booth, f"voter{number}") for number in range(6)]
    pairs = {pair.identity for pair in Exhibition(project.store, ["nolan"], ["mini_lora"]).now().pairs.values()}
    assert cast == [len(pairs)] * 6

    outcome = project.run("nolan")
    assert outcome.code == 0, outcome.err
    assert outcome.rows[0]["reused"] == WHOLE_RUN - 1
    after = project.artifacts("nolan")
    assert [stage for stage in STAGES if before[stage] != after[stage]] == [VOTES]
    found = standings(project)
    assert (found["votes"], found["voters"], found["pairs_voted_on"]) == (sum(cast), 6, len(pairs))
    style = [contest for contest in found["contests"] if contest["question"] == "style"]  # type: ignore[attr-defined]
    assert {(one["side"]["arm"], one["wins"], one["losses"]) for one in style} == {("adapter", 3 * len(pairs), 0)}
    metrics = {
        score.metric for score in Evaluation.read(project.latest("mini_lora/evaluation", "nolan").local_folder).scores
    }
    assert {one["metric"] for one in found["agreements"]} <= metrics  # type: ignore[attr-defined]
    assert {one["question"] for one in found["agreements"]} == {"style"}, "of ties no metric is asked"  # type: ignore[attr-defined]
    (nolan,) = (one for one in ranked(project) if one.director == "nolan")
    assert (nolan.votes, nolan.preliminary) == (3 * len(pairs), 3 * len(pairs) < 100)
    assert nolan.voted_style == 1.0
    text = (project.latest(VOTES, "nolan").path("standings.json")).read_text()
    assert "voter0" not in text
    labels = {entry.label for entry in project.latest(VOTES, "nolan").manifest.metadata}
    assert {"standings", "preliminary", "adapter closer to the director than base"} <= labels


def test_what_people_say_feeds_nothing_but_the_leaderboard() -> None:
    graph = build_definitions(read_surroundings({})).resolve_asset_graph()
    assert graph.get(dg.AssetKey(["leaderboard"])).child_keys == set()
    node = graph.get(dg.AssetKey(["mini_lora", "votes"]))
    assert node.child_keys == {dg.AssetKey(["leaderboard"])}
    assert node.parent_keys == {dg.AssetKey(["mini_lora", "evaluation"])}


def test_new_votes_ask_for_the_directors_they_are_about(project: TinyProject) -> None:
    place = surroundings(project)
    definitions, votes = build_definitions(place), VotesResource(url=place.votes_url)
    sensor = definitions.resolve_sensor_def("new_votes")

    def tick(cursor: str | None) -> dg.SensorResult:
        with project.instance() as instance:
            context = dg.build_sensor_context(
                instance=instance, cursor=cursor, resources={"votes": votes}, definitions=definitions
            )
            return sensor.evaluate_tick(context)  # type: ignore[return-value]

    first = tick(None)
    assert not first.run_requests
    booth = build_booth(place)
    ballot = booth.next_ballot("ann")
    assert ballot is not None
    booth.cast("ann", ballot.token, {"style": "A", "prompt": "B"})
    second = tick(first.cursor)
    (request,) = second.run_requests or ()
    assert request.partition_key == "nolan"
    assert request.asset_selection == [dg.AssetKey(["mini_lora", "votes"])]
    assert not tick(second.cursor).run_requests
    assert json.loads(second.cursor or "") == {"nolan": 1}


@pytest.mark.parametrize(
    ("store", "votes", "expected"),
    [
        ("/data/store", None, "sqlite:////data/store/votes/votes.sqlite"),
        ("file:///data/store", None, "sqlite:////data/store/votes/votes.sqlite"),
        ("s3://bucket/store", None, None),
        ("s3://bucket/store", "postgresql://votes@db/studio", "postgresql://votes@db/studio"),
        ("/data/store", "sqlite:////var/votes.sqlite", "sqlite:////var/votes.sqlite"),
        ("/data/store", "sqlite:///votes.sqlite", "sqlite:///{root}/votes.sqlite"),
    ],
)
def test_where_the_ledger_is(
    store: str, votes: str | None, expected: str | None, made: TinyProject, tmp_path: Path
) -> None:
    shutil.copytree(made.configs, tmp_path / "configs")
    change(tmp_path / "configs", "deployments/local", votes=votes)
    place = read_surroundings(surroundings_of(tmp_path, DIRECTOR_STORE=store))
    assert place.votes_url == (expected and expected.format(root=tmp_path))
    assert "://" not in str(place.votes_key), "a key is on this machine's disk"
