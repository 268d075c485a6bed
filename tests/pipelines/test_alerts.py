"""Alerts: failed runs and overdue directors reach a real webhook; its address is told to nobody."""

import datetime
import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import dagster as dg
import pytest

from assets_defs.freshness import overdue
from director_diffusion.errors import AlertError, CaptionError
from director_diffusion.storage import Artifact, Manifest
from director_diffusion.storage.artifact import set_latest, write_artifact
from pipelines.alerts import failed_runs_sensor
from pipelines.build import build_definitions
from pipelines.surroundings import read_surroundings
from resources.alerts import AlertsResource
from resources.store import StoreResource


class Webhook:
    """A server on loopback that keeps what is posted, after `refusals` answers of 503."""

    def __init__(self) -> None:
        self.posted: list[dict[str, Any]] = []
        self.refusals, self.answer = 0, 200
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if webhook.refusals:
                    webhook.refusals -= 1
                    self.send_response(503)
                else:
                    webhook.posted.append(json.loads(body))
                    self.send_response(webhook.answer)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *arguments: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hooks/s3cret"


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    made = Webhook()
    Thread(target=made.server.serve_forever, daemon=True).start()
    yield made
    made.server.shutdown()
    made.server.server_close()


def failing_job(error: Exception) -> dg.JobDefinition:
    @dg.op
    def captions() -> None:
        raise error

    @dg.job
    def make_mini_lora() -> None:
        captions()

    return make_mini_lora


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as instance:
        yield instance


def fail(job: dg.JobDefinition, instance: dg.DagsterInstance, tags: dict[str, str]) -> None:
    assert not job.execute_in_process(instance=instance, raise_on_error=False, tags=tags).success


def tick(instance: dg.DagsterInstance, alerts: AlertsResource, cursor: str | None) -> Any:
    """What the sensor of failed runs does."""
    with dg.build_sensor_context(instance=instance, cursor=cursor, resources={"alerts": alerts}) as context:
        return failed_runs_sensor(on=True).evaluate_tick(context)


def told_of(job: dg.JobDefinition, alerts: AlertsResource, tags: dict[str, str]) -> Any:
    """What the sensor does about a run of `job` that fails."""
    with dg.instance_for_test() as instance:
        begun = tick(instance, alerts, None).cursor
        fail(job, instance, tags)
        return tick(instance, alerts, begun)


def test_an_alert_holds_no_secret_that_an_error_quotes(webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIRECTOR_WEBHOOK", webhook.url)
    quoted = f"asked {webhook.url} and https://s3/x?X-Amz-Signature=0123456789abcdef"
    AlertsResource(url=webhook.url).post(quoted, errors={"captions": quoted})
    told = json.dumps(webhook.posted)
    assert "X-Amz-Signature=<hidden>" in told
    assert "s3cret" not in told
    assert "0123456789abcdef" not in told


def test_no_failure_is_lost_or_told_twice_while_the_webhook_is_down(
    instance: dg.DagsterInstance, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.alerts.BACKOFF_S", 0.0)
    alerts, job = AlertsResource(url=webhook.url), failing_job(ZeroDivisionError("by nought"))
    begun = tick(instance, alerts, None).cursor
    for director in ("nolan", "fincher"):
        fail(job, instance, {"dagster/partition": director})
    webhook.refusals = 100
    with pytest.raises(AlertError, match="webhook"):
        tick(instance, alerts, begun)
    webhook.refusals = 0
    told = tick(instance, alerts, begun)
    again = tick(instance, alerts, told.cursor)
    assert [alert["director_diffusion"]["director"] for alert in webhook.posted] == ["nolan", "fincher"]
    assert "No run has failed" in again.skip_message
    fail(job, instance, {"dagster/partition": "scorsese"})
    tick(instance, alerts, again.cursor)
    assert [alert["director_diffusion"]["director"] for alert in webhook.posted][2:] == ["scorsese"]


def test_many_failures_are_told_tick_by_tick_and_none_from_before_there_was_a_webhook(
    instance: dg.DagsterInstance, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.alerts.MOST_AT_ONCE", 2)
    monkeypatch.setattr("pipelines.alerts.OVERLAP_S", 0.0)
    alerts, job = AlertsResource(url=webhook.url), failing_job(ZeroDivisionError("by nought"))
    fail(job, instance, {"dagster/partition": "who failed before"})
    cursor = tick(instance, AlertsResource(), tick(instance, AlertsResource(), None).cursor).cursor
    for director in ("nolan", "fincher", "scorsese"):
        fail(job, instance, {"dagster/partition": director})
    for told in (2, 3, 3):
        cursor = tick(instance, alerts, cursor).cursor
        assert len(webhook.posted) == told
    assert [alert["director_diffusion"]["director"] for alert in webhook.posted] == ["nolan", "fincher", "scorsese"]


def test_a_failed_run_is_told_with_the_way_out(webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIRECTOR_UI", "studio.example:3000")
    error = CaptionError("still 3", "has no caption", "Write one beside it.")
    job = failing_job(dg.Failure(description=str(error), allow_retries=False))
    told_of(job, AlertsResource(url=webhook.url), {"dagster/partition": "nolan"})
    (alert,) = webhook.posted
    assert "nolan: make_mini_lora failed." in alert["text"]
    assert "captions: still 3: has no caption. Write one beside it." in alert["text"]
    facts = alert["director_diffusion"]
    assert facts["director"] == "nolan"
    assert facts["url"] == f"http://studio.example:3000/runs/{facts['run_id']}"


def test_its_link_is_the_one_that_people_open(webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    """In containers, the UI has a name that only they know."""
    monkeypatch.setenv("DIRECTOR_UI", "webserver:3000")
    monkeypatch.setenv("DIRECTOR_UI_LINK", "https://dagster.studio.example/")
    told_of(failing_job(ZeroDivisionError()), AlertsResource(url=webhook.url), {})
    assert webhook.posted[0]["director_diffusion"]["url"].startswith("https://dagster.studio.example/runs/")


def test_an_error_that_nobody_foresaw_is_told_too(webhook: Webhook) -> None:
    told_of(failing_job(ZeroDivisionError("by nought")), AlertsResource(url=webhook.url), {})
    assert "by nought" in webhook.posted[0]["text"]


def test_a_run_that_is_run_again_by_itself_is_not_told(webhook: Webhook) -> None:
    job = failing_job(ZeroDivisionError())
    told_of(job, AlertsResource(url=webhook.url), {"dagster/will_retry": "true"})
    assert webhook.posted == []


def test_without_a_webhook_nothing_is_posted_and_the_tick_says_so() -> None:
    skipped = told_of(failing_job(ZeroDivisionError()), AlertsResource(), {})
    assert "DIRECTOR_WEBHOOK" in (skipped.skip_message or "")


def test_a_busy_webhook_is_asked_again(webhook: Webhook) -> None:
    webhook.refusals = 2
    AlertsResource(url=webhook.url).post("hello", event="test")
    assert [alert["text"] for alert in webhook.posted] == ["hello"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/hooks/s3cret", "not an address s3cret"])
def test_an_alert_that_does_not_arrive_is_an_error_without_the_address(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.alerts.BACKOFF_S", 0.0)
    with pytest.raises(AlertError, match="DIRECTOR_WEBHOOK") as caught:
        AlertsResource(url=url).post("hello")
    assert "s3cret" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("answer", [301, 302, 404])
def test_a_refused_alert_is_an_error(webhook: Webhook, answer: int) -> None:
    webhook.answer = answer
    with pytest.raises(AlertError, match=f"answered {answer}"):
        AlertsResource(url=webhook.url).post("hello")


DAY = 86_400.0


@pytest.fixture
def definitions(tmp_path: Path, webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> dg.Definitions:
    monkeypatch.setenv("DIRECTOR_WEBHOOK", webhook.url)
    places = {"DIRECTOR_STORE": str(tmp_path / "store"), "DAGSTER_HOME": str(tmp_path)}
    return build_definitions(read_surroundings(places | {"DIRECTOR_WEBHOOK": webhook.url}))


def reported(instance: dg.DagsterInstance, name: str, slug: str) -> None:
    instance.report_runless_asset_event(dg.AssetMaterialization(dg.AssetKey(["mini_lora", name]), partition=slug))


def made(instance: dg.DagsterInstance, store: StoreResource, name: str, slug: str) -> Artifact:
    """As if a run had made an asset of the recipe just now."""
    when = datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")
    manifest = Manifest(
        asset=("mini_lora", name),
        partition=slug,
        key="0" * 16,
        plain_key="0" * 16,
        version="0" * 64,
        files=(),
        code_version="1",
        seconds=0.0,
        made=when,
    )
    artifact = write_artifact(store.get(), Path(), manifest)
    set_latest(artifact)
    reported(instance, name, slug)
    return artifact


@pytest.fixture
def store(tmp_path: Path) -> StoreResource:
    return StoreResource(url=str(tmp_path / "store"))


def later(monkeypatch: pytest.MonkeyPatch, days: float) -> None:
    """The clock of the sensor and the check goes `days` before ours."""

    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
            return datetime.datetime.fromtimestamp(time.time() + days * DAY, tz)

    for module in ("pipelines.alerts", "assets_defs.freshness"):
        monkeypatch.setattr(f"{module}.datetime.datetime", Clock)


def test_overdue_directors_are_told_once_and_shown_each(
    definitions: dg.Definitions, store: StoreResource, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    alerting = {"alerts": AlertsResource(url=webhook.url), "store": store}
    sensor, key = definitions.resolve_sensor_def("freshness"), dg.AssetKey(["mini_lora", "evaluation"])
    with dg.DagsterInstance.ephemeral() as instance:

        def tick(cursor: str | None, days: float) -> tuple[dict[str | None, bool], str | None]:
            with monkeypatch.context() as clock:
                later(clock, days)
                with dg.build_sensor_context(
                    instance=instance, cursor=cursor, resources=alerting, definitions=definitions
                ) as context:
                    data = sensor.evaluate_tick(context)
            events = [event for event in data.asset_events if isinstance(event, dg.AssetCheckEvaluation)]
            assert {event.asset_key for event in events} <= {key}
            return {event.partition: event.passed for event in events}, data.cursor

        nobody, cursor = tick(None, 30)
        assert nobody == {}, "nobody is trained"
        for slug in ("nolan", "fincher"):
            made(instance, store, "adapter", slug)
        made(instance, store, "evaluation", "nolan")
        fresh, cursor = tick(cursor, 1)
        assert fresh == {"nolan": True, "fincher": True}
        reported(instance, "evaluation", "nolan")
        assert tick(cursor, 7)[0] == {}, "nothing changed"
        late, cursor = tick(cursor, 9)
        assert late == {"nolan": False, "fincher": False}, "one was never evaluated, the other not lately"
        assert [alert["text"] for alert in webhook.posted] == ["Not evaluated for 8 days:\nmini_lora: fincher, nolan"]
        assert tick(cursor, 9)[0] == {}, "told once"
        assert len(webhook.posted) == 1


def test_what_was_made_long_ago_is_not_fresh_for_being_found_again(
    store: StoreResource, instance: dg.DagsterInstance
) -> None:
    now, year = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=365)
    adapter, evaluation = (made(instance, store, name, "nolan") for name in ("adapter", "evaluation"))
    assert overdue(store.get(), "mini_lora", ["nolan"], 8, now) == set()
    assert overdue(store.get(), "mini_lora", ["nolan"], 8, now + year) == {"nolan"}
    set_latest(evaluation)  # as a run does that finds it again
    reported(instance, "evaluation", "nolan")
    assert overdue(store.get(), "mini_lora", ["nolan", "fincher"], 8, now + year) == {"nolan"}
    for artifact in (adapter, evaluation):  # pointers of before it was noted there
        folder = artifact.folder.rpartition("/")[0]
        store.get().write(f"{folder}/latest.json", json.dumps({"key": "0" * 16, "version": "0" * 64}).encode())
    assert overdue(store.get(), "mini_lora", ["nolan"], 8, now) == set()
    assert overdue(store.get(), "mini_lora", ["nolan"], 8, now + year) == {"nolan"}


def test_an_alert_that_fails_is_posted_at_the_next_tick(
    definitions: dg.Definitions, store: StoreResource, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    sensor = definitions.resolve_sensor_def("freshness")
    alerting = {"alerts": AlertsResource(url=webhook.url), "store": store}
    with dg.DagsterInstance.ephemeral() as instance:
        made(instance, store, "adapter", "nolan")
        later(monkeypatch, 9)
        webhook.answer = 404
        with dg.build_sensor_context(instance=instance, resources=alerting, definitions=definitions) as context:
            with pytest.raises(AlertError, match="answered 404"):
                sensor.evaluate_tick(context)
            webhook.answer, webhook.posted = 200, []
            data = sensor.evaluate_tick(context)
        assert [alert["director_diffusion"]["directors"] for alert in webhook.posted] == [{"mini_lora": ["nolan"]}]
        assert len(data.asset_events) == 1


def test_people_may_run_the_check_of_one_director(definitions: dg.Definitions, store: StoreResource) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        made(instance, store, "adapter", "nolan")
        made(instance, store, "evaluation", "nolan")
        key = dg.AssetCheckKey(dg.AssetKey(["mini_lora", "evaluation"]), "evaluated_lately")
        job = definitions.get_implicit_global_asset_job_def().get_subset(asset_check_selection={key})
        result = job.execute_in_process(instance=instance, partition_key="nolan")
        (evaluation,) = result.get_asset_check_evaluations()
        assert evaluation.passed


def test_runs_of_the_graph_do_not_run_it(definitions: dg.Definitions) -> None:
    for name in ("make_mini_lora", "reevaluate_mini_lora"):
        steps = {node.name for node in definitions.resolve_job_def(name).all_node_defs}
        assert not [step for step in steps if "evaluated_lately" in step], "it would be a step of every run"


def test_the_webhooks_address_is_not_in_what_the_ui_shows(definitions: dg.Definitions) -> None:
    from dagster._core.remote_representation.external_data import RepositorySnap
    from dagster_shared.serdes import serialize_value

    shown = serialize_value(RepositorySnap.from_def(definitions.get_repository_def()))
    assert "DIRECTOR_WEBHOOK" in shown
    assert "s3cret" not in shown
