"""What Dagster does by itself: the weekly re-evaluation, the sensors, the sweep of dead runs."""

import datetime
import json
import subprocess
import sys
import uuid
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from director_diffusion.training.picks import remove_pick, write_pick
from director_diffusion.training.rows import Pick
from pipelines.build import build_definitions
from pipelines.surroundings import Surroundings, read_surroundings
from pipelines.sweep import sweep_dead_runs
from resources.process_tags import process_is_gone, process_tags
from resources.stage import FRESH_TAG
from resources.store import StoreResource


@pytest.fixture
def surroundings(tmp_path: Path) -> Surroundings:
    return read_surroundings({"DIRECTOR_STORE": str(tmp_path / "store"), "DAGSTER_HOME": str(tmp_path)})


@pytest.fixture
def definitions(surroundings: Surroundings) -> dg.Definitions:
    return build_definitions(surroundings)


def trained(instance: dg.DagsterInstance, slug: str) -> None:
    instance.report_runless_asset_event(dg.AssetMaterialization(dg.AssetKey(["mini_lora", "adapter"]), partition=slug))


def test_the_weekly_reevaluation_asks_for_trained_directors_only(definitions: dg.Definitions) -> None:
    schedule = definitions.resolve_schedule_def("weekly_reevaluate_mini_lora")
    with dg.instance_for_test() as instance:
        when = datetime.datetime(2026, 11, 23, 6, tzinfo=datetime.UTC)
        context = dg.build_schedule_context(
            instance=instance, scheduled_execution_time=when, repository_def=definitions.get_repository_def()
        )
        assert schedule.evaluate_tick(context).skip_message == "No director has an adapter of mini_lora yet."
        trained(instance, "nolan")
        trained(instance, "fincher")
        trained(instance, "who_left_the_project")
        requests = schedule.evaluate_tick(context).run_requests
    assert [request.partition_key for request in requests] == ["fincher", "nolan"]
    assert {request.tags[FRESH_TAG] for request in requests} == {"2026-w48"}


def test_the_reevaluation_trains_nothing(definitions: dg.Definitions) -> None:
    job = definitions.resolve_job_def("reevaluate_mini_lora")
    assert {key.path[-1] for key in job.asset_layer.selected_asset_keys} == {"samples", "evaluation"}


def test_changed_inputs_ask_for_that_director_alone(definitions: dg.Definitions, tmp_path: Path) -> None:
    stills = tmp_path / "store" / "stills"
    for slug in ("nolan", "fincher"):
        (stills / slug / "film").mkdir(parents=True)
        (stills / slug / "film" / "1.txt").write_text("a car")
    sensor = definitions.resolve_sensor_def("changed_inputs")
    store = StoreResource(url=str(tmp_path / "store"))

    def tick(cursor: str | None) -> tuple[list[str | None], str | None]:
        with dg.DagsterInstance.ephemeral() as instance:
            context = dg.build_sensor_context(
                instance=instance, cursor=cursor, resources={"store": store}, definitions=definitions
            )
            data = sensor.evaluate_tick(context)
            return [request.partition_key for request in data.run_requests], data.cursor

    first, cursor = tick(None)
    assert first == ["fincher", "nolan"]
    quiet, cursor = tick(cursor)
    assert quiet == []
    (stills / "nolan" / "film" / "1.txt").write_text("two cars on a street")
    changed, cursor = tick(cursor)
    assert changed == ["nolan"]
    pick = Pick(training="t", step=3, strength=1.0, who="ann", why="")
    for made in (pick, replace(pick, strength=0.5)):
        write_pick(store.get(), "mini_lora", "fincher", made)
        changed, cursor = tick(cursor)
        assert changed == ["fincher"], "a pick is an input"
    remove_pick(store.get(), "mini_lora", "fincher")
    assert tick(cursor)[0] == ["fincher"], "and so is its absence"
    assert set(json.loads(cursor or "")) >= {"nolan", "fincher", "anderson"}


def dead_process_tags(run_id: str) -> dict[str, str]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        tags = process_tags(run_id, process.pid)
        assert process_is_gone(run_id, tags) is False
        process.kill()
    return tags


def test_the_sweep_fails_dead_runs_and_leaves_the_living(definitions: dg.Definitions) -> None:
    job = definitions.resolve_job_def("look_at_inputs")
    with dg.DagsterInstance.ephemeral() as instance:
        started = dg.DagsterRunStatus.STARTED
        ids = [str(uuid.uuid4()) for _ in range(5)]
        gone = dead_process_tags(ids[0])
        dead = instance.create_run_for_job(job, run_id=ids[0], tags=gone, status=started)
        alive = instance.create_run_for_job(job, run_id=ids[1], tags=process_tags(ids[1], 1), status=started)
        elsewhere = instance.create_run_for_job(
            job, run_id=ids[2], tags={**process_tags(ids[2], 1), "director/host": "another"}, status=started
        )
        repeated = instance.create_run_for_job(job, run_id=ids[3], tags=gone, status=started)
        waiting = instance.create_run_for_job(job, run_id=ids[4])
        instance.event_log_storage.set_concurrency_slots("gpu", 1)
        assert instance.event_log_storage.claim_concurrency_slot("gpu", dead.run_id, "step").is_claimed
        assert sweep_dead_runs(instance) == [dead.run_id]
        assert instance.get_run_by_id(dead.run_id).status == dg.DagsterRunStatus.FAILURE
        assert instance.get_run_by_id(alive.run_id).status == started
        assert instance.get_run_by_id(elsewhere.run_id).status == started
        assert instance.get_run_by_id(repeated.run_id).status == started, "its tags name another run's process"
        assert instance.get_run_by_id(waiting.run_id).status == dg.DagsterRunStatus.NOT_STARTED
        assert instance.event_log_storage.claim_concurrency_slot("gpu", alive.run_id, "step").is_claimed


def report(instance: dg.DagsterInstance, name: str, version: str, slug: str = "nolan") -> None:
    """As if a run had materialized an asset with this content."""
    instance.report_runless_asset_event(
        dg.AssetMaterialization(dg.AssetKey(name.split("/")), partition=slug, tags={"dagster/data_version": version})
    )


def test_automation_follows_content_not_materializations(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    with dg.instance_for_test() as instance:
        for key in graph.toposorted_asset_keys:
            report(instance, key.to_user_string(), "v1")

        cursor = None

        def requested() -> set[tuple[str, str | None]]:
            nonlocal cursor
            result = dg.evaluate_automation_conditions(definitions, instance, cursor=cursor)
            cursor = result.cursor
            return {
                (key.to_user_string(), partition)
                for key in graph.get_all_asset_keys()
                for partition in result.get_requested_partitions(key)
            }

        assert requested() == set(), "the first look only remembers"
        report(instance, "written_captions", "v1")
        assert requested() == set(), "an identical re-materialization retrains nothing"
        report(instance, "written_captions", "v2")
        assert requested() == {("captions", "nolan")}
        assert requested() == set(), "asked once: a run that failed is not asked for again"
        report(instance, "captions", "v2")
        assert requested() == {("mini/prompt_embeddings", "nolan"), ("mini_lora/model_card", "nolan")}
        report(instance, "mini_lora/pick", "v2")
        assert requested() == {("mini_lora/adapter", "nolan")}, "a person's choice is followed too"
