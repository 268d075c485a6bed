"""Which hub a deployment publishes to, and with whose rights."""

from pathlib import Path

import dagster as dg
import pytest
from pydantic import ValidationError
from small_repository import small_repository

from director_diffusion.errors import PublishError
from director_diffusion.publishing.folder_hub import FolderHub
from director_diffusion.publishing.hub_server import HubServer
from director_diffusion.publishing.publish import Publication, publish
from director_diffusion.specs import Deployment, EndpointHub
from resources.hub import HubResource
from resources.stage import stage
from resources.stage_run import StageResult, StageRun
from tests.loopback_hub.faults import Fault
from tests.loopback_hub.server import LoopbackHub
from tests.stage_resources import stage_resources


def deployment(**hub: object) -> Deployment:
    return Deployment.model_validate({"slug": "here", "store": "store", "hub": hub})


def test_the_hub_itself_is_the_default_endpoint_and_private() -> None:
    assert deployment(kind="hub").hub == EndpointHub(kind="hub", endpoint="https://huggingface.co", private=True)
    assert deployment(kind="hub", endpoint="http://127.0.0.1:8080/hub", private=False).hub.kind == "hub"
    assert deployment(kind="folder").hub.kind == "folder"


@pytest.mark.parametrize(
    "hub", [{"kind": "s3"}, {"kind": "hub", "endpoint": "huggingface.co"}, {"kind": "hub", "folder": "hub"}]
)
def test_a_hub_of_another_kind_is_refused(hub: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        deployment(**hub)


def test_a_folder_asks_for_no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    resource = HubResource(url=str(tmp_path))
    assert isinstance(resource.get(), FolderHub)
    assert resource.where(Publication("published", "", "a/b", "0" * 40, "models--a--b")) == f"{tmp_path}/models--a--b"


def test_a_server_takes_the_token_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = HubResource(url="https://hub.example", server=True)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(PublishError, match="HF_TOKEN"):
        resource.get()
    monkeypatch.setenv("HF_TOKEN", "hf_of_somebody")
    hub = resource.get()
    assert isinstance(hub, HubServer)
    assert (hub.endpoint, hub.private) == ("https://hub.example", True)
    published = Publication("published", "", "a/b", "0" * 40, "", "v1", "https://hub.example/a/b/tree/v1")
    assert resource.where(published) == "https://hub.example/a/b/tree/v1"


def run_of(folder: Path, loopback: LoopbackHub, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    """A stage that publishes, run by Dagster on this deployment's hub."""

    @stage(partitions=None, group="toy", version="1", outside=True)
    def published(run: StageRun) -> StageResult:
        repo = small_repository(folder / "repo")
        publication = publish(repo, run.resources.hub.get(), "studio/nolan", tag="v1")
        publication.write(run.out)
        return run.result(facts={"where": run.resources.hub.where(publication)})

    resources = stage_resources(folder, hub=HubResource(url=loopback.endpoint, server=True))
    return dg.materialize([published], instance=instance, resources=resources, raise_on_error=False)


def test_no_event_and_no_file_of_a_run_holds_the_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with LoopbackHub(tmp_path / "loopback") as loopback, dg.DagsterInstance.ephemeral() as instance:
        monkeypatch.setenv("HF_TOKEN", loopback.token)
        loopback.faults.add(Fault("forbidden", "commit"))
        refused, published = run_of(tmp_path, loopback, instance), run_of(tmp_path, loopback, instance)
        events = [dg.serialize_value(r) for run in (refused, published) for r in instance.all_logs(run.run_id)]
    assert (refused.success, published.success) == (False, True)
    (failure,) = [event for event in refused.all_events if event.event_type_value == "STEP_FAILURE"]
    told = failure.step_failure_data.user_failure_data
    assert told is not None
    assert "Set HF_TOKEN to a valid token that may write to studio" in (told.description or "")
    assert not [event for event in events if loopback.token in event]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in files if loopback.token.encode() in path.read_bytes()]
