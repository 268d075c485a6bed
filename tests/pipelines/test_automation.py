"""What Dagster does by itself: the weekly re-evaluation, the sensors, the sweep of dead runs."""

import datetime
import subprocess
import sys
import uuid
from pathlib import Path

import dagster as dg
import pytest

from pipelines.build import build_definitions
from pipelines.surroundings import Surroundings, read_surroundings
from pipelines.sweep import sweep_dead_runs
from resources.making import FRESH_TAG
from resources.process_tags import process_is_gone, process_tags


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
        with dg.build_schedule_context(
            instance=instance, scheduled_execution_time=when, repository_def=definitions.get_repository_def()
        ) as context:
            assert schedule.evaluate_tick(context).skip_message == "No director has an adapter of mini_lora yet."
            trained(instance, "nolan")
            trained(instance, "fincher")
            trained(instance, "who_left_the_project")
            requests = schedule.evaluate_tick(context).run_requests
    assert [request.partition_key for request in requests] == ["fincher", "nolan"]
    assert {request.tags[FRESH_TAG] for request in requests} == {"2026-w48"}
    assert {request.tags["dagster/priority"] for request in requests} == {"-10"}, "a person's run goes first"


def test_what_the_automation_makes_lets_a_persons_run_go_first(definitions: dg.Definitions) -> None:
    sensor = definitions.resolve_sensor_def("automation")
    assert isinstance(sensor, dg.AutomationConditionSensorDefinition)
    assert sensor.run_tags == {"dagster/priority": "-10"}


def test_the_reevaluation_trains_nothing(definitions: dg.Definitions) -> None:
    job = definitions.resolve_job_def("reevaluate_mini_lora")
    names = {key.to_user_string() for key in job.asset_layer.selected_asset_keys}
    assert names == {"mini/canary", "mini_lora/samples", "mini_lora/evaluation"}


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


def report(instance: dg.DagsterInstance, name: str, version: str, slug: str | None = "nolan") -> None:
    """As if a run had materialized an asset with this content."""
    instance.report_runless_asset_event(
        dg.AssetMaterialization(dg.AssetKey(name.split("/")), partition=slug, tags={"dagster/data_version": version})
    )


class Automation:
    """What Dagster would run by itself, asked again and again; of nolan everything is made."""

    def __init__(self, definitions: dg.Definitions, instance: dg.DagsterInstance):
        self.definitions, self.instance, self.cursor = definitions, instance, None
        self.keys = definitions.resolve_asset_graph().toposorted_asset_keys
        for key in self.keys:
            report(instance, key.to_user_string(), "v1")
        assert self.requested() == set(), "the first look only remembers"

    def requested(self) -> set[tuple[str, str | None]]:
        result = dg.evaluate_automation_conditions(self.definitions, self.instance, cursor=self.cursor)
        self.cursor = result.cursor
        self.checks = {
            one.key for one in result.results if isinstance(one.key, dg.AssetCheckKey) and one.true_subset.size
        }
        return {
            (key.to_user_string(), partition) for key in self.keys for partition in result.get_requested_partitions(key)
        }

    def checked(self, key: dg.AssetCheckKey) -> bool:
        """Whether the last look asked for a check."""
        return key in self.checks

    def after(self, name: str, version: str, slug: str | None = "nolan") -> set[tuple[str, str | None]]:
        """What is asked for once an asset is reported with this content."""
        report(self.instance, name, version, slug)
        return self.requested()


RANKED = ("leaderboard", None)


def of_nolan(*names: str) -> set[tuple[str, str]]:
    return {(name, "nolan") for name in names}


def test_automation_follows_content_not_materializations(definitions: dg.Definitions) -> None:
    with dg.instance_for_test() as instance:
        automation = Automation(definitions, instance)
        assert automation.after("written_captions", "v1") == set(), "an identical re-materialization retrains nothing"
        assert automation.after("written_captions", "v2") == of_nolan("captions")
        assert automation.requested() == set(), "asked once: a run that failed is not asked for again"
        assert automation.after("captions", "v2") == of_nolan("mini/prompt_embeddings"), (
            "the card waits for its verdict"
        )
        assert automation.after("mini_lora/pick", "v2") == of_nolan("mini_lora/adapter"), "a person's choice too"


def test_other_directors_stills_evaluate_nothing_again_and_hold_nobody_up(definitions: dg.Definitions) -> None:
    both = of_nolan("mini_lora/evaluation", "mini_lora/release_evaluation")
    with dg.instance_for_test() as instance:
        automation = Automation(definitions, instance)
        assert automation.after("reference_set", "v1", "fincher") == set()
        assert automation.after("reference_set", "v2", "fincher") == set()
        assert automation.after("mini_lora/samples", "v2") == of_nolan("mini_lora/evaluation"), (
            "though scorsese has no reference set yet"
        )
        assert automation.requested() == set()
        assert automation.after("mini_lora/published_before", "v2") == both, "what it is compared with counts"


def test_a_sign_off_is_looked_at_by_people_alone_and_followed(definitions: dg.Definitions) -> None:
    with dg.instance_for_test() as instance:
        automation = Automation(definitions, instance)
        assert automation.after("mini_lora/sign_off", "v2") == of_nolan("mini_lora/model_card")
        assert automation.after("mini_lora/model_card", "v2") == of_nolan("mini_lora/published_model"), "card first"
        assert automation.after("mini_lora/adapter", "v2") >= of_nolan(
            "mini_lora/samples", "mini_lora/published_before"
        )


def test_the_adapter_of_all_waits_for_all_and_follows_content(definitions: dg.Definitions) -> None:
    joint, slugs = ("mini_lora/joint_adapter", None), ("anderson", "fincher", "scorsese", "villeneuve")
    made_of = ("mini/latents", "mini/prompt_embeddings", "director")
    with dg.instance_for_test() as instance:
        automation = Automation(definitions, instance)
        assert joint not in automation.after("mini/latents", "v2"), "there is nothing of the others yet"
        for slug in slugs:
            for name in made_of:
                report(instance, name, "v1", slug)
        assert joint in automation.requested()
        assert automation.after("mini/prompt_embeddings", "v1", "fincher") == set(), "the same again"
        assert joint in automation.after("mini/prompt_embeddings", "v2", "fincher")
        assert joint not in automation.requested(), "asked once"
        drawn = automation.after("mini_lora/joint_adapter", "v2", None)
        assert drawn == {("mini_lora/joint_samples", slug) for slug in ("nolan", *slugs)}
        assert automation.after("mini_lora/joint_samples", "v2") == of_nolan("mini_lora/joint_evaluation")
        assert ("mini_lora/joint_overview", None) not in automation.after("mini_lora/joint_evaluation", "v2")


def test_the_leaderboard_follows_what_is_said_of_any_director_whatever_is_missing(
    definitions: dg.Definitions,
) -> None:
    with dg.instance_for_test() as instance:
        automation = Automation(definitions, instance)
        assert RANKED not in automation.after("mini_lora/adapter", "v2"), "its evaluation comes"
        assert RANKED not in automation.after("mini_lora/evaluation", "v2"), "the release's comes"
        assert RANKED in automation.after("mini_lora/release_evaluation", "v2")
        assert RANKED not in automation.requested(), "asked once"
        assert RANKED not in automation.after("mini_lora/release_evaluation", "v2"), "the same again"
        assert RANKED in automation.after("mini_lora/votes", "v2", "fincher"), "though nothing else of it is there"


def test_checks_of_what_is_made_of_all_directors_follow_changes_and_their_asset(definitions: dg.Definitions) -> None:
    look = dg.AssetCheckKey(dg.AssetKey(["leaderboard"]), "newest_inputs")
    with dg.instance_for_test() as instance:
        automation = Automation(definitions, instance)

        def asked_after(name: str, version: str, slug: str | None = "nolan") -> bool:
            automation.after(name, version, slug)
            return automation.checked(look)

        assert not asked_after("mini_lora/evaluation", "v1"), "the same again"
        assert asked_after("mini_lora/evaluation", "v2"), "a verdict that it does not wait for is told at once"
        automation.requested()
        assert not automation.checked(look), "asked once"
        assert not asked_after("mini_lora/release_evaluation", "v2"), "the leaderboard is coming"
        assert asked_after("leaderboard", "v1", None), "made again, though as it was"
        assert not asked_after("captions", "v2"), "which it does not read"


def test_students_follow_their_adapter_and_the_card_waits_for_them(tmp_path: Path) -> None:
    places = {"DIRECTOR_STORE": str(tmp_path / "store"), "DAGSTER_HOME": str(tmp_path), "DIRECTOR_PROJECT": "turbo"}
    recipe = "mini_lora_turbo"
    with dg.instance_for_test() as instance:
        automation = Automation(build_definitions(read_surroundings(places)), instance)
        assert automation.after("mini/prompt_embeddings", "v2") == of_nolan(f"{recipe}/adapter"), "not the students yet"
        made = automation.after(f"{recipe}/adapter", "v2")
        assert made == of_nolan(*(f"{recipe}/{name}" for name in ("turbo_adapter", "samples", "published_before")))
        assert automation.after(f"{recipe}/turbo_adapter", "v2") == of_nolan(f"{recipe}/turbo_samples")
        assert automation.after(f"{recipe}/turbo_samples", "v2") == of_nolan(f"{recipe}/turbo_evaluation")
        assert automation.after(f"{recipe}/turbo_evaluation", "v2") == {*of_nolan(f"{recipe}/model_card"), RANKED}
        assert automation.requested() == set()
        assert automation.after(f"{recipe}/release_evaluation", "v2") >= of_nolan(f"{recipe}/model_card")
        assert automation.after("stills", "v2") >= of_nolan(f"{recipe}/turbo_evaluation"), "they judge"


def test_students_are_evaluated_again_where_there_are_some(tmp_path: Path) -> None:
    places = {"DIRECTOR_STORE": str(tmp_path / "store"), "DAGSTER_HOME": str(tmp_path), "DIRECTOR_PROJECT": "turbo"}
    definitions, recipe = build_definitions(read_surroundings(places)), "mini_lora_turbo"
    with dg.instance_for_test() as instance:
        for name, slug in (("adapter", "nolan"), ("adapter", "fincher"), ("turbo_adapter", "nolan")):
            instance.report_runless_asset_event(dg.AssetMaterialization(dg.AssetKey([recipe, name]), partition=slug))
        when = datetime.datetime(2026, 11, 23, 6, tzinfo=datetime.UTC)
        repository = definitions.get_repository_def()
        schedule = definitions.resolve_schedule_def(f"weekly_reevaluate_{recipe}")
        with dg.build_schedule_context(
            instance=instance, scheduled_execution_time=when, repository_def=repository
        ) as context:
            requests = schedule.evaluate_tick(context).run_requests
    asked = {
        request.partition_key: {key.path[-1] for key in request.asset_selection or ()} for request in requests or ()
    }
    assert asked["fincher"] == {"canary", "samples", "evaluation"}
    assert asked["nolan"] == asked["fincher"] | {"turbo_samples", "turbo_evaluation"}
