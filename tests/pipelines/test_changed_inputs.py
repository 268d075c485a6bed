"""The sensor for changed inputs: which directors' roots it runs, when a run failed too, and what looking costs."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest

from director_diffusion.publishing.sign_offs import SignOff, add_sign_off
from director_diffusion.training.picks import remove_pick, write_pick
from director_diffusion.training.rows import Pick
from pipelines.build import build_definitions
from pipelines.changed_inputs import AGAIN_AFTER_S
from pipelines.surroundings import read_surroundings
from resources.store import StoreResource
from tests.s3_server import S3Server

Status = dg.DagsterRunStatus


class Looking:
    """The sensor's ticks, one after the other, of the demo on a store."""

    def __init__(self, url: str, home: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch):
        places = {"DIRECTOR_STORE": url, "DAGSTER_HOME": str(home)}
        self.definitions = build_definitions(read_surroundings(places))
        self.store, self.instance, self.cursor = StoreResource(url=url), instance, None
        self.clock = 1_000_000.0
        monkeypatch.setattr("pipelines.changed_inputs.time", SimpleNamespace(time=lambda: self.clock))
        self.asked: list[dg.RunRequest] = []

    def __call__(self, *, later: float = 30.0) -> list[str | None]:
        """The directors whose roots it asks for."""
        self.clock += later
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            resources={"store": self.store},
            definitions=self.definitions,
        ) as context:
            data = self.definitions.resolve_sensor_def("changed_inputs").evaluate_tick(context)
        self.cursor, self.asked = data.cursor, data.run_requests or self.asked
        return [request.partition_key for request in data.run_requests]

    def ran(self, status: dg.DagsterRunStatus) -> None:
        """A run that was asked for last has come so far."""
        job = self.definitions.resolve_job_def("look_at_inputs")
        self.instance.create_run_for_job(job, tags=dict(self.asked[0].tags), status=status)


@pytest.fixture
def looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Looking]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Looking(str(tmp_path / "store"), tmp_path, instance, monkeypatch)


def write(looks: Looking, name: str, text: str = "a car") -> None:
    looks.store.get().write(f"stills/{name}", text.encode())


def test_changed_inputs_ask_for_that_director_alone(looks: Looking) -> None:
    for slug in ("nolan", "fincher"):
        write(looks, f"{slug}/film/1.txt")
    assert looks() == ["fincher", "nolan"]
    assert looks() == []
    write(looks, "nolan/film/1.txt", "two cars on a street")
    assert looks() == ["nolan"]
    pick = Pick(training="t", step=3, strength=1.0, who="ann", why="")
    for made in (pick, replace(pick, strength=0.5)):
        write_pick(looks.store.get(), "mini_lora", "fincher", made)
        assert looks() == ["fincher"], "a pick is an input"
    remove_pick(looks.store.get(), "mini_lora", "fincher")
    assert looks() == ["fincher"], "and so is its absence"
    signed = SignOff("signed off", "0" * 64, "ann", "it is fine", "2026-11-22")
    add_sign_off(looks.store.get(), "mini_lora", "nolan", signed)
    assert looks() == ["nolan"], "a sign-off is one too"
    assert set(json.loads(looks.cursor or "")) >= {"nolan", "fincher", "anderson"}


def test_what_a_failed_run_was_to_look_at_is_looked_at_again_and_not_for_ever(looks: Looking) -> None:
    write(looks, "nolan/film/1.txt")
    assert looks() == ["nolan"]
    looks.ran(Status.STARTED)
    assert looks(later=10 * AGAIN_AFTER_S[-1]) == [], "it is under way"
    looks.ran(Status.FAILURE)
    assert looks() == [], "and so is one of both"
    looks.ran(Status.SUCCESS)
    write(looks, "nolan/film/1.txt", "two cars")
    tries = 0
    while looks() == ["nolan"]:
        looks.ran(Status.FAILURE)
        assert looks(later=AGAIN_AFTER_S[min(tries, len(AGAIN_AFTER_S) - 1)] - 20) == []
        tries += 1
    assert tries == 1 + len(AGAIN_AFTER_S)
    assert looks(later=10 * AGAIN_AFTER_S[-1]) == []
    write(looks, "nolan/film/1.txt", "three cars")
    assert looks() == ["nolan"], "a change is always new"
    looks.ran(Status.SUCCESS)
    assert looks(later=10 * AGAIN_AFTER_S[-1]) == []


def test_while_one_looks_no_other_is_asked_for(looks: Looking) -> None:
    """Who copies stills for minutes changes them at every look."""
    write(looks, "nolan/film/1.txt")
    assert looks() == ["nolan"]
    looks.ran(Status.STARTED)
    for number in range(2, 4):
        write(looks, f"nolan/film/{number}.txt")
        assert looks() == []
    looks.ran(Status.SUCCESS)
    assert looks() == ["nolan"]


def test_a_run_that_was_run_again_or_cancelled_is_asked_for_no_more(looks: Looking) -> None:
    for end in (Status.SUCCESS, Status.CANCELED):
        write(looks, "nolan/film/1.txt", f"{end}")
        assert looks() == ["nolan"]
        looks.ran(Status.FAILURE)
        assert looks() == []
        looks.ran(end)
        assert looks(later=2 * AGAIN_AFTER_S[0]) == []


def test_a_run_that_never_came_to_be_is_asked_for_again(looks: Looking) -> None:
    write(looks, "nolan/film/1.txt")
    assert looks() == ["nolan"]
    assert looks() == [], "it may be coming"
    assert looks(later=AGAIN_AFTER_S[0]) == ["nolan"]


def test_what_was_seen_before_runs_were_followed_is_seen(looks: Looking) -> None:
    write(looks, "nolan/film/1.txt")
    looks()
    looks.cursor = json.dumps({slug: one["mark"] if one else "" for slug, one in json.loads(looks.cursor).items()})
    assert looks() == []


def test_looking_costs_the_same_however_many_directors_there_are(
    s3: S3Server, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        looks = Looking(bucket, tmp_path, instance, monkeypatch)
        costs = []
        for slug in ("nolan", "fincher", "anderson", "scorsese"):
            write(looks, f"{slug}/film/1.txt")
            with s3.counted() as asked:
                assert looks() == [slug]
            costs.append(len(asked))
    assert min(costs) == 3, "three listings"
    assert max(costs) <= 4, "a connection that the server has closed meanwhile costs one more"


def test_a_name_that_is_no_text_holds_nobody_up(looks: Looking) -> None:
    write(looks, "nolan/film/\udcff.txt")
    write(looks, "fincher/film/ü.txt")
    assert looks() == ["fincher", "nolan"]
