"""Publishing to a server: exactly one commit whatever goes wrong on the way, and no token in what is told of it."""

import logging
import traceback
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from io import StringIO
from pathlib import Path

import huggingface_hub.constants
import pytest
from huggingface_hub import get_session
from small_repository import small_repository

from director_diffusion.errors import DirectorError, PublishError, TransientError
from director_diffusion.publishing.hub_server import HubServer, Patience
from director_diffusion.publishing.publish import Publication, publish
from director_diffusion.training.rows import WEIGHTS
from tests.loopback_hub.faults import Fault, Kind, Request
from tests.loopback_hub.repositories import Changes
from tests.loopback_hub.server import LoopbackHub

ID = "studio/nolan-mini_lora"
PATIENCE = Patience(timeout_s=20.0, attempts=3, wait_s=0.005, longest_wait_s=1.0)
SHORT = replace(PATIENCE, timeout_s=0.15, attempts=10)  # where no answer is to come
FIRST_PUBLICATION: tuple[Request, ...] = (
    "validate", "create", "info", "tree", "refs", "preupload", "lfs batch", "lfs put", "lfs verify", "commit", "tag",
)  # fmt: skip
PASSING: tuple[Kind, ...] = ("unavailable", "reset", "lost answer")
SILENT: tuple[Kind, ...] = ("hang", "late")
WRITES: tuple[Request, ...] = ("create", "lfs put", "commit", "tag")


@pytest.fixture
def loopback(tmp_path: Path) -> Iterator[LoopbackHub]:
    with LoopbackHub(tmp_path / "loopback") as hub:
        yield hub


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return small_repository(tmp_path / "repo")


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[StringIO]:
    """All that is logged meanwhile, with huggingface_hub telling its requests; the token must not be in it."""
    heard = StringIO()
    handler = logging.StreamHandler(heard)
    monkeypatch.setattr(huggingface_hub.constants, "HF_DEBUG", True)
    loggers = [logging.getLogger(name) for name in (None, "huggingface_hub", "httpx2", "httpcore2")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
    yield heard
    for logger, level in zip(loggers, levels, strict=True):
        logger.removeHandler(handler)
        logger.setLevel(level)
    printed = capfd.readouterr()
    assert "TokenThatMust" not in heard.getvalue() + printed.out + printed.err


def server(
    loopback: LoopbackHub, token: str | None = None, *, private: bool = True, patience: Patience = PATIENCE
) -> HubServer:
    return HubServer(loopback.endpoint, token or loopback.token, private=private, patience=patience)


def put(repo: Path, loopback: LoopbackHub, *, tag: str = "v1") -> Publication:
    return publish(repo, server(loopback), ID, tag=tag)


def ours(loopback: LoopbackHub) -> list[str]:
    """Our commits on main, the newest first."""
    return [oid for oid, commit in loopback[ID].history() if commit.author == "studio"]


def on_disk(repo: Path) -> dict[str, bytes]:
    return {path.relative_to(repo).as_posix(): path.read_bytes() for path in repo.rglob("*") if path.is_file()}


def refusal(repo: Path, loopback: LoopbackHub, kind: type[DirectorError]) -> DirectorError:
    """The error of a publication, with nothing behind it and no token in it, whoever looks how closely."""
    with pytest.raises(kind) as caught:
        put(repo, loopback)
    error = caught.value
    assert error.__cause__ is None
    assert error.__context__ is None
    shown = traceback.TracebackException.from_exception(error, capture_locals=True).format()
    assert loopback.token not in "".join(shown) + repr(error) + repr(vars(error))
    return error


def assert_published_once(publication: Publication, repo: Path, loopback: LoopbackHub) -> None:
    assert publication.status == "published"
    assert ours(loopback) == [publication.commit]
    assert loopback[ID].refs("tags") == {"v1": publication.commit}
    assert loopback[ID].contents() == on_disk(repo)


def test_a_publication_is_one_commit_with_a_tag(repo: Path, loopback: LoopbackHub, tmp_path: Path) -> None:
    publication = put(repo, loopback)
    assert_published_once(publication, repo, loopback)
    assert publication.url == f"{loopback.endpoint}/{ID}/tree/v1"
    assert loopback[ID].private
    publication.write(tmp_path)
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert loopback.token.encode() not in written


def test_the_same_content_again_only_looks(repo: Path, loopback: LoopbackHub) -> None:
    first = put(repo, loopback)
    loopback.asked.clear()
    assert put(repo, loopback) == first
    assert {kind for kind, _ in loopback.asked} == {"info", "tree", "refs"}


def test_repositories_are_public_where_asked_and_left_as_they_are(repo: Path, loopback: LoopbackHub) -> None:
    publish(repo, server(loopback, private=False), ID, tag="v1")
    assert not loopback[ID].private
    put(small_repository(repo, seed=1), loopback, tag="v2")
    assert not loopback[ID].private


@pytest.mark.parametrize("on", FIRST_PUBLICATION)
@pytest.mark.parametrize("kind", PASSING)
def test_after_a_fault_there_is_exactly_one_commit(repo: Path, loopback: LoopbackHub, kind: Kind, on: Request) -> None:
    loopback.faults.add(Fault(kind, on))
    publication = put(repo, loopback)
    assert [fault.on for fault in loopback.faults.happened] == [on]
    assert_published_once(publication, repo, loopback)
    assert put(repo, loopback) == publication
    assert_published_once(publication, repo, loopback)


@pytest.mark.parametrize(
    ("kind", "on"), [*((kind, on) for kind in SILENT for on in WRITES), ("hang", "info"), ("hang", "tree")]
)
def test_without_an_answer_there_is_exactly_one_commit(
    repo: Path, loopback: LoopbackHub, kind: Kind, on: Request
) -> None:
    """`late` does what was asked while the next attempt is under way."""
    loopback.faults.add(Fault(kind, on))
    publication = publish(repo, server(loopback, patience=SHORT), ID, tag="v1")
    assert [fault.on for fault in loopback.faults.happened] == [on]
    assert_published_once(publication, repo, loopback)


def test_a_hang_that_stays_is_told(repo: Path, loopback: LoopbackHub) -> None:
    loopback.faults.add(Fault("hang", "commit", times=1000))
    with pytest.raises(TransientError, match="no answer"):
        publish(repo, server(loopback, patience=replace(SHORT, attempts=2)), ID, tag="v1")
    loopback.faults.clear()
    assert_published_once(put(repo, loopback), repo, loopback)


@pytest.mark.parametrize(
    ("kind", "on"),
    [*(("unavailable", on) for on in FIRST_PUBLICATION), *(("lost answer", on) for on in ("info", *WRITES))],
)
def test_a_fault_that_stays_is_told_and_a_run_after_it_finishes(
    repo: Path, loopback: LoopbackHub, kind: Kind, on: Request
) -> None:
    loopback.faults.add(Fault(kind, on, times=1000))
    if on == "lfs verify" or (kind == "lost answer" and on in WRITES):
        publication = put(repo, loopback)  # the next attempt finds what was done
    else:
        error = refusal(repo, loopback, TransientError)
        assert "Run again" in error.way_out
        assert not loopback[ID].exists() or len(ours(loopback)) <= 1
        loopback.faults.clear()
        publication = put(repo, loopback)
    assert_published_once(publication, repo, loopback)


@pytest.mark.parametrize(
    ("kind", "on"),
    [
        *(("unauthorised", on) for on in FIRST_PUBLICATION if on != "lfs put"),
        ("forbidden", "create"),
        ("forbidden", "commit"),
    ],
)
def test_a_refused_token_is_a_matter_for_people(repo: Path, loopback: LoopbackHub, kind: Kind, on: Request) -> None:
    loopback.faults.add(Fault(kind, on))
    error = refusal(repo, loopback, PublishError)
    assert "HF_TOKEN" in error.way_out
    assert "Access denied for Bearer <token>" in error.problem
    assert len(loopback.faults.happened) == 1  # it was not tried again
    assert_published_once(put(repo, loopback), repo, loopback)


def test_an_expired_storage_url_is_asked_for_again(repo: Path, loopback: LoopbackHub) -> None:
    loopback.faults.add(Fault("forbidden", "lfs put"))
    assert_published_once(put(repo, loopback), repo, loopback)


def test_another_writer_who_is_first_loses_nothing(repo: Path, loopback: LoopbackHub) -> None:
    loopback.faults.add(Fault("race", "commit"))
    publication = put(repo, loopback)
    history = dict(loopback[ID].history())
    assert ours(loopback) == [publication.commit]
    assert history[history[publication.commit].parent or ""].title == "Update notes.txt"
    assert set(loopback[ID].contents()) == {*on_disk(repo), "notes.txt"}


def test_the_same_content_from_another_run_at_the_same_time_is_one_commit(repo: Path, loopback: LoopbackHub) -> None:
    def be_first(request: Request) -> None:
        if request == "commit" and not ours(loopback):
            files = {
                name: loopback[ID].pointer(sha256(content).hexdigest())
                if name == WEIGHTS
                else loopback[ID].keep(content)
                for name, content in on_disk(repo).items()
            }
            loopback[ID].commit(Changes(files), parent=None, title="Publish adapter v1", message="", author="studio")

    loopback.faults.chance = be_first
    assert_published_once(put(repo, loopback), repo, loopback)
    assert loopback.count("commit") == 1


def test_writers_who_are_always_first_are_told(repo: Path, loopback: LoopbackHub) -> None:
    loopback.faults.add(Fault("race", "commit", times=1000))
    error = refusal(repo, loopback, TransientError)
    assert "HTTP 412, A commit has happened since" in error.problem
    assert ours(loopback) == []


def test_what_others_changed_of_ours_is_put_back_and_what_they_added_stays(repo: Path, loopback: LoopbackHub) -> None:
    first = put(repo, loopback)
    loopback.write_as_somebody_else(ID, "README.md", b"---\nlicense: mit\n---\nmine")
    loopback.write_as_somebody_else(ID, "images/mine.png", b"mine")
    assert put(repo, loopback).commit == first.commit  # the tag still gives this very content
    assert len(ours(loopback)) == 2
    assert loopback[ID].contents() == {**on_disk(repo), "images/mine.png": b"mine"}


def test_new_content_takes_away_what_is_no_longer_part_of_it(repo: Path, loopback: LoopbackHub) -> None:
    (repo / "old.csv").write_text("old")
    first = put(repo, loopback)
    loopback.write_as_somebody_else(ID, "images/mine.png", b"mine")
    (repo / "old.csv").unlink()
    put(small_repository(repo, seed=1), loopback, tag="v2")
    put(small_repository(repo, seed=2), loopback, tag="v3")
    assert loopback[ID].contents() == {**on_disk(repo), "images/mine.png": b"mine"}
    assert loopback[ID].contents("v1")["old.csv"] == b"old"
    assert loopback[ID].refs("tags")["v1"] == first.commit
    assert len(ours(loopback)) == 3


def test_content_that_comes_back_keeps_its_tag(repo: Path, loopback: LoopbackHub) -> None:
    first = put(repo, loopback)
    put(small_repository(repo, seed=1), loopback, tag="v2")
    again = put(small_repository(repo, seed=0), loopback, tag="v1")
    assert again == first
    assert len(ours(loopback)) == 3
    assert loopback[ID].contents() == on_disk(repo)


def test_a_tag_on_other_content_is_left_to_those_who_pinned_it(repo: Path, loopback: LoopbackHub) -> None:
    first = put(repo, loopback)
    second = put(small_repository(repo, seed=1), loopback, tag="v1")
    assert loopback[ID].refs("tags") == {"v1": first.commit, "v1-2": second.commit}
    assert put(repo, loopback, tag="v1") == second


def test_a_card_that_the_hub_refuses_is_told_in_its_words(repo: Path, loopback: LoopbackHub) -> None:
    card = repo / "README.md"
    card.write_text(card.read_text().replace("apache-2.0", "my own"))
    error = refusal(repo, loopback, PublishError)
    assert '"license" must be one of [apache-2.0' in error.problem
    assert not loopback[ID].exists()


def test_a_commit_that_would_not_hold_all_files_is_not_made(repo: Path, loopback: LoopbackHub) -> None:
    first = put(repo, loopback)
    loopback.write_as_somebody_else(ID, ".gitignore", b"NOTICE")
    (repo / "NOTICE").write_text("another")
    assert "leave out NOTICE" in refusal(repo, loopback, PublishError).problem
    assert ours(loopback) == [first.commit]


def test_what_a_hub_asks_to_wait_is_waited_within_limits(
    repo: Path, loopback: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    loopback.faults.add(Fault("rate limit", "commit", retry_after=1))
    assert_published_once(put(repo, loopback), repo, loopback)
    assert pauses == [1.0]
    loopback.faults.add(Fault("rate limit", "info", retry_after=2))
    error = refusal(repo, loopback, TransientError)
    assert "HTTP 429" in error.problem
    assert pauses == [1.0]  # beyond the limit: left to whoever runs it again


def test_the_users_client_is_put_back(repo: Path, loopback: LoopbackHub) -> None:
    usual = type(get_session()).send
    put(repo, loopback)
    assert get_session().send.__func__ is usual


@pytest.mark.parametrize("token", ["", "hf_with space", None])
def test_without_a_usable_token_nothing_is_asked(token: str | None, loopback: LoopbackHub) -> None:
    with pytest.raises(PublishError, match="HF_TOKEN"):
        HubServer(loopback.endpoint, token)
    assert loopback.asked == []


def test_a_token_that_the_hub_does_not_know(repo: Path, loopback: LoopbackHub) -> None:
    with pytest.raises(PublishError, match="Invalid credentials"):
        publish(repo, server(loopback, "hf_another"), ID, tag="v1")


def test_a_namespace_of_others(repo: Path, loopback: LoopbackHub) -> None:
    with pytest.raises(PublishError, match="may write to elsewhere"):
        publish(repo, server(loopback), "elsewhere/nolan", tag="v1")


def test_no_server_at_all(repo: Path) -> None:
    hub = HubServer("http://127.0.0.1:9", "hf_token", patience=PATIENCE)
    with pytest.raises(TransientError, match="ConnectError"):
        publish(repo, hub, ID, tag="v1")


@pytest.mark.parametrize("without_xet", [True, False])
def test_weights_go_up_by_lfs_whether_xet_is_there_or_not(
    repo: Path, loopback: LoopbackHub, monkeypatch: pytest.MonkeyPatch, without_xet: bool
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", without_xet)
    put(repo, loopback)
    assert (loopback.count("lfs put"), loopback.count("lfs verify")) == (1, 1)
    assert loopback[ID].read(loopback[ID].resolve("main") or "").files[WEIGHTS].sha256


def test_large_weights_go_up_in_parts(repo: Path, loopback: LoopbackHub) -> None:
    loopback.api.lfs.part_bytes = 1000
    loopback.faults.add(Fault("reset", "lfs part"))
    publication = put(repo, loopback)
    assert_published_once(publication, repo, loopback)
    assert loopback.count("lfs put") == 0
    assert loopback.count("lfs complete") == 1


def test_several_large_files_go_up_side_by_side(repo: Path, loopback: LoopbackHub) -> None:
    for name in ("lokr.safetensors", "other.safetensors"):
        (repo / name).write_bytes(name.encode() * 1000)
    loopback.faults.add(Fault("reset", "lfs put"))
    assert_published_once(put(repo, loopback), repo, loopback)
    loopback.faults.add(Fault("unavailable", "lfs put", times=1000))
    (repo / "lokr.safetensors").write_bytes(b"another")
    (repo / "other.safetensors").write_bytes(b"and another")
    assert "/storage/" in refusal(repo, loopback, TransientError).problem


def test_a_tree_of_many_pages_is_read_to_its_end(repo: Path, loopback: LoopbackHub) -> None:
    loopback.api.page = 2
    first = put(repo, loopback)
    loopback.asked.clear()
    assert put(repo, loopback) == first
    assert loopback.count("tree") == 3
