"""The Hub's refusals, as a local server gives them, and what is made of them."""

import json
import threading
import traceback
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest

from director_diffusion.errors import DirectorError, ModelError, TransientError
from director_diffusion.models import hub
from director_diffusion.models.hub import download, is_downloaded, newest_revision
from director_diffusion.specs import HubSource

REVISION = "a" * 40
TOKEN = "hf_secret_of_this_test"
FILES = {
    "model_index.json": b'{"_class_name": "FluxPipeline"}',
    "whole.safetensors": b"the same weights once more",
    "vae/config.json": b"{}",
    "vae/weights.safetensors": b"weights",
}


class FakeHub:
    """Serves one repository, or one refusal."""

    def __init__(self) -> None:
        self.files = dict(FILES)
        self.refusal: tuple[int, dict[str, str]] | None = None
        self.asked: list[str] = []
        self.tokens: set[str | None] = set()
        self.stalls = threading.Event()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        if "owner/name" not in request.path:  # huggingface_hub asks for other things besides
            self._send(request, 404, b"", {})
            return
        self.asked.append(request.path)
        self.tokens.add(request.headers.get("Authorization"))
        if self.stalls.is_set():
            threading.Event().wait(3)
            return
        if self.refusal is not None:
            self._send(request, self.refusal[0], b"{}", self.refusal[1])
        elif "/tree/" in request.path:
            entries = [
                {"type": "file", "path": name, "size": len(data), "oid": str(index) * 40}
                for index, (name, data) in enumerate(self.files.items())
            ]
            self._send(request, 200, json.dumps(entries).encode(), {"Content-Type": "application/json"})
        elif "/api/models/" in request.path:
            content = json.dumps({"id": "owner/name", "sha": REVISION}).encode()
            self._send(request, 200, content, {"Content-Type": "application/json"})
        else:
            name = request.path.split(f"/resolve/{REVISION}/")[1]
            index = list(self.files).index(name)
            self._send(request, 200, self.files[name], {"ETag": f'"{index}"', "X-Repo-Commit": REVISION})

    def _send(self, request: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str]) -> None:
        request.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            request.send_header(name, value)
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(body)


@pytest.fixture
def fake_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    fake = FakeHub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            fake.answer(self)

        def do_HEAD(self) -> None:
            fake.answer(self)

        def log_message(self, format: str, *args: Any) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
    monkeypatch.setattr(
        huggingface_hub.constants,
        "HUGGINGFACE_CO_URL_TEMPLATE",
        address + "/{repo_id}/resolve/{revision}/{filename}",
    )
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # huggingface_hub waits between its own attempts
    yield fake
    server.shutdown()
    server.server_close()


def source(**values: Any) -> HubSource:
    return HubSource(kind="hub", repo="owner/name", revision=REVISION, **values)


def test_a_pipelines_parts_are_downloaded_and_not_its_second_copy(fake_hub: FakeHub, tmp_path: Path) -> None:
    folder = download(source(), cache=tmp_path, token=TOKEN)
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == {"model_index.json", "vae/config.json", "vae/weights.safetensors"}
    assert (folder / "vae/weights.safetensors").read_bytes() == b"weights"
    assert fake_hub.tokens == {f"Bearer {TOKEN}"}


def test_a_whole_snapshot_needs_no_request(fake_hub: FakeHub, tmp_path: Path) -> None:
    assert not is_downloaded(source(), cache=tmp_path)
    folder = download(source(), cache=tmp_path, token=None)
    assert is_downloaded(source(), cache=tmp_path)
    fake_hub.asked.clear()
    fake_hub.refusal = (500, {})
    assert download(source(), cache=tmp_path, token=None) == folder
    assert fake_hub.asked == []
    (folder / "vae/weights.safetensors").unlink()
    assert not is_downloaded(source(), cache=tmp_path)


def test_weights_that_are_not_wanted_are_left_where_they_are(fake_hub: FakeHub, tmp_path: Path) -> None:
    folder = download(source(), cache=tmp_path, token=None, without=["vae"])
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == {"model_index.json", "vae/config.json"}
    assert is_downloaded(source(), cache=tmp_path, without=["vae"])
    assert not is_downloaded(source(), cache=tmp_path)
    assert (download(source(), cache=tmp_path, token=None) / "vae/weights.safetensors").is_file()


def test_other_repositories_come_whole_and_open_clips_with_one_weights_file(fake_hub: FakeHub, tmp_path: Path) -> None:
    fake_hub.files = {"config.json": b"{}", "model.safetensors": b"1", "other.bin": b"2"}
    whole = download(source(), cache=tmp_path / "whole", token=None)
    assert {path.name for path in whole.iterdir()} == {"config.json", "model.safetensors", "other.bin"}
    single = download(source(weights="model.safetensors"), cache=tmp_path / "single", token=None)
    assert {path.name for path in single.iterdir()} == {"config.json", "model.safetensors"}
    with pytest.raises(ModelError, match=r"no file 'absent.safetensors'.*Mend `weights`"):
        download(source(weights="absent.safetensors"), cache=tmp_path / "absent", token=None)


@pytest.mark.parametrize(
    ("status", "headers", "kind", "message"),
    [
        (403, {"X-Error-Code": "GatedRepo"}, ModelError, r"owner/name@aaaaaaaa: is gated.*Accept it at .*HF_TOKEN"),
        (404, {"X-Error-Code": "RevisionNotFound"}, ModelError, r"no such revision.*`revision`"),
        (401, {"X-Error-Code": "RepoNotFound"}, ModelError, r"was not found.*HF_TOKEN"),
        (401, {"X-Error-Message": "Invalid credentials in Authorization header"}, ModelError, r"HTTP 401.*valid token"),
        (403, {"X-Error-Message": "Access to this resource is disabled."}, ModelError, r"has been disabled"),
        (401, {"X-Error-Message": f"Invalid token {TOKEN}"}, ModelError, r"HTTP 401.*valid token"),
        (429, {}, TransientError, r"HTTP 429.*run again"),
        (500, {}, TransientError, r"HTTP 500.*run again"),
        (503, {}, TransientError, r"HTTP 503.*run again"),
    ],
)
def test_refusals_are_named_with_a_way_out_and_without_the_token(
    fake_hub: FakeHub, tmp_path: Path, status: int, headers: dict[str, str], kind: type[DirectorError], message: str
) -> None:
    fake_hub.refusal = (status, headers)
    with pytest.raises(kind, match=message) as caught:
        download(source(), cache=tmp_path, token=TOKEN)
    assert type(caught.value) is kind
    assert TOKEN not in "".join(traceback.format_exception(caught.value))


def test_a_gate_before_the_files_alone_is_named_too(fake_hub: FakeHub, tmp_path: Path) -> None:
    download(source(), cache=tmp_path / "open", token=None)
    trees = next((tmp_path / "open").rglob("trees"))
    target = tmp_path / "gated" / trees.relative_to(tmp_path / "open")
    target.parent.mkdir(parents=True)
    trees.rename(target)
    fake_hub.refusal = (403, {"X-Error-Code": "GatedRepo"})
    with pytest.raises(ModelError, match="is gated"):
        download(source(), cache=tmp_path / "gated", token=None)


def test_no_network_may_pass(monkeypatch: pytest.MonkeyPatch, fake_hub: FakeHub, tmp_path: Path) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(TransientError, match=r"ConnectError.*Check the network"):
        download(source(), cache=tmp_path, token=None)


def test_offline_mode_does_not_pass_by_itself(
    monkeypatch: pytest.MonkeyPatch, fake_hub: FakeHub, tmp_path: Path
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"offline mode.*HF_HUB_OFFLINE"):
        download(source(), cache=tmp_path, token=None)


def test_a_silent_hub_is_not_waited_for_without_end(
    monkeypatch: pytest.MonkeyPatch, fake_hub: FakeHub, tmp_path: Path
) -> None:
    monkeypatch.setattr(hub, "TIMEOUT_S", 0.1)
    fake_hub.stalls.set()
    with pytest.raises(TransientError, match="ReadTimeout"):
        download(source(), cache=tmp_path, token=None)


def test_nor_is_it_by_a_session_that_was_closed_in_between(
    monkeypatch: pytest.MonkeyPatch, fake_hub: FakeHub, tmp_path: Path
) -> None:
    """As huggingface_hub closes it after a connection error."""
    monkeypatch.setattr(hub, "TIMEOUT_S", 0.1)
    download(source(), cache=tmp_path, token=None)
    huggingface_hub.close_session()
    fake_hub.stalls.set()
    with pytest.raises(Exception, match="timed out"):
        huggingface_hub.get_session().get(f"{huggingface_hub.constants.ENDPOINT}/api/models/owner/name", timeout=None)


def test_a_malformed_token_is_not_quoted(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="HF_TOKEN: holds white space") as caught:
        download(source(), cache=tmp_path, token=f"{TOKEN}\n")
    assert TOKEN not in str(caught.value)


def test_a_source_without_a_revision_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"owner/name: has no pinned revision.*director pin"):
        download(HubSource(kind="hub", repo="owner/name"), cache=tmp_path, token=None)


def test_the_newest_revision_can_be_asked_for(fake_hub: FakeHub) -> None:
    assert newest_revision("owner/name", token=None) == REVISION


@pytest.mark.parametrize("repo", ["/tmp/x.safetensors", "../x", "a/b/c", "--x"])
def test_what_can_name_no_repository_is_said_so(repo: str) -> None:
    with pytest.raises(ModelError, match="is no name of a repository"):
        newest_revision(repo, token=None)


def test_a_refusal_leads_to_the_page_of_the_endpoint_that_gave_it(fake_hub: FakeHub, tmp_path: Path) -> None:
    fake_hub.refusal = (401, {"X-Error-Code": "RepoNotFound"})
    with pytest.raises(ModelError, match=f"{huggingface_hub.constants.ENDPOINT}/owner/name"):
        download(source(), cache=tmp_path, token=TOKEN)
