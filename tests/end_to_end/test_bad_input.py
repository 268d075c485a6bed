"""What `director run` says to what it cannot use, and that what was made before stays whole.

Belongs here: faults as a user meets them.  What each module makes of them in detail is tested beside the module.
"""

import ctypes
import errno
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
from PIL import Image

from director_diffusion.stills.rows import RAW_FILE, STILLS_FILE, RawFile, Still
from tests.small_configs import change, read
from tests.tiny_project import WHOLE_RUN, Outcome, TinyProject

pytestmark = pytest.mark.xdist_group("children")

ENOUGH = 14
HOSTILE_NAMES = (
    "two words.jpg",
    "café – 映画 🎬.jpg",
    "-rf.jpg",
    "$(touch x);`id`.jpg",
    "line\nbreak.jpg",
    '<img src="x">.jpg',
    "up..up..jpg",
    "n" * 251 + ".jpg",
)
REVISION = "b" * 40
SMALL_DISK = 6 << 20  # bytes


def save_stills(folder: Path, count: int, *, first: int = 0) -> None:
    """Pictures that differ from each other, in two films."""
    for number in range(first, first + count):
        path = folder / f"film_{number % 2}" / f"{number:02d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(number).save(path, quality=90)


def picture(seed: int) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(60, 250, (7, 9, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((160, 90), Image.Resampling.BICUBIC)


def drop_right_to_read_anything() -> None:
    """Be bound by files' modes, as ordinary users are: takes this process's root powers over them away."""
    if os.geteuid() != 0:
        return
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)()
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.capget(header, data) == 0
    for index in (0, 1):  # effective and permitted
        data[index] &= ~0b110  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
    assert libc.capset(header, data) == 0, os.strerror(ctypes.get_errno())


def wait_in_stills(begun: Path, go: Path) -> None:
    """Make this process's stills stage wait for the file `go` once it has begun."""
    from director_diffusion.stills import ingest

    ingest_stills = ingest.ingest_stills

    def wait_and_ingest(*arguments: object) -> object:
        begun.touch()
        while not go.exists():
            time.sleep(0.01)
        return ingest_stills(*arguments)  # type: ignore[arg-type]

    ingest.ingest_stills = wait_and_ingest  # type: ignore[assignment]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> TinyProject:
    """A project with no stills of its own; each test brings its directors."""
    folder = tmp_path_factory.mktemp("bad_input")
    project = TinyProject.make(folder, directors=("nolan",))
    change(project.configs, "projects/demo", directors="all", placeholder_stills=None)
    for path in (project.configs / "directors").iterdir():
        path.unlink()
    return project


@pytest.fixture
def add(project: TinyProject) -> Callable[..., Path]:
    """`add("ann", stills=3)`: a director with that many good stills.  Returns the folder of stills."""

    def new(slug: str, stills: int = 0) -> Path:
        path = project.configs / "directors" / f"{slug}.yaml"
        path.write_text(f"name: {slug.title()}\ntrigger: {slug} style\nstills_licence: drawn by a test\n")
        save_stills(project.stills(slug), stills)
        return project.stills(slug)

    return new


def refused(outcome: Outcome, *words: str) -> None:
    """It ended with 1 and these words, and without a traceback."""
    assert outcome.code == 1, outcome.err
    for word in words:
        assert word in outcome.err
    assert "Traceback" not in outcome.err
    assert 'File "' not in outcome.err


def reasons(project: TinyProject, slug: str) -> dict[str, str]:
    """Why each rejected file of a director was rejected."""
    rows = project.latest("stills", slug).table(STILLS_FILE, Still)
    return {row.name: row.reason for row in rows if row.status == "rejected"}


def test_each_unusable_file_is_a_row_that_says_why(
    project: TinyProject, add: Callable[..., Path], tmp_path: Path
) -> None:
    film = add("mixed", ENOUGH) / "film_0"
    good = (film / "00.jpg").read_bytes()
    (film / "truncated.jpg").write_bytes(good[: len(good) // 2])
    (film / "corrupt.jpg").write_bytes(good[:200] + bytes(len(good) - 200))
    (film / "text.jpg").write_text("once upon a time")
    (film / "empty.jpg").touch()
    Image.new("1", (20_000, 20_000)).save(film / "bomb.png")
    (tmp_path / "secret.jpg").write_bytes(good)
    (film / "outside.jpg").symlink_to(tmp_path / "secret.jpg")
    (film / "dangling.jpg").symlink_to("gone.jpg")
    (film / "folder.jpg").mkdir()
    os.mkfifo(film / "pipe.jpg")
    for number, name in enumerate(HOSTILE_NAMES):
        picture(100 + number).save(film / name, format="JPEG")
    outcome = project.run("mixed", "--until", "stills")
    assert outcome.rows[0]["errors"] == []
    assert outcome.code == 0, outcome.err
    said = reasons(project, "mixed")
    words = {
        "truncated.jpg": "is truncated",
        "corrupt.jpg": "is not an image of a known format",
        "text.jpg": "it starts with 'once upon a time'",
        "empty.jpg": "is empty",
        "bomb.png": "has too many pixels to be opened; scale it down",
        "outside.jpg": "leads out of the store",
        "dangling.jpg": "does not exist",
        "folder.jpg": "move its files up",
        "pipe.jpg": "not a regular file",
    }
    assert set(said) == set(words)
    for name, word in words.items():
        assert word in said[name], name
    assert outcome.rows[0]["stills_kept"] == ENOUGH + len(HOSTILE_NAMES)
    assert outcome.rows[0]["stills_rejected"] == len(words)
    raw = {row.file: row for row in project.latest("raw_stills", "mixed").table(RAW_FILE, RawFile)}
    assert raw["outside.jpg"].sha256 == "", "what lies outside is not even read"
    kept = {row.name for row in project.latest("stills", "mixed").table(STILLS_FILE, Still) if row.status == "kept"}
    assert set(HOSTILE_NAMES) <= kept
    project.assert_whole("mixed")


def test_what_this_user_may_not_read_is_a_row_that_says_so(project: TinyProject, add: Callable[..., Path]) -> None:
    film = add("locked", ENOUGH) / "film_0"
    picture(50).save(film / "mine.jpg")
    (film / "mine.jpg").chmod(0)
    outcome = project.start("locked", "--until", "stills", first=drop_right_to_read_anything).end()
    assert outcome.code == 0, outcome.err
    assert reasons(project, "locked").keys() == {"mine.jpg"}
    assert "give this user read access" in reasons(project, "locked")["mine.jpg"]
    (film / "mine.jpg").chmod(0o644)
    assert project.run("locked", "--until", "stills").code == 0
    assert reasons(project, "locked") == {}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["absent"], ["absent: is no director of project demo", "director add absent"]),
        (["../nolan"], ["../nolan: is no director"]),
        (["line\nbreak"], ["is no director"]),
        (["ann", "--recipe", "sdxl"], ["sdxl: is no recipe of project demo", "mini_lora"]),
        (["ann", "--until", "lunch"], ["lunch: is no stage", "captions"]),
    ],
)
def test_words_that_name_nothing_list_what_there_is(
    project: TinyProject, add: Callable[..., Path], arguments: list[str], words: list[str]
) -> None:
    add("ann")
    refused(project.run(*arguments), *words)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("DIRECTOR_PROJECT", "lunch", ["lunch.yaml: does not exist", "demo"]),
        ("DIRECTOR_DEPLOYMENT", "../local", ["does not exist", "compose, gpu, kubernetes, local, ray"]),
        ("DIRECTOR_CONFIGS", "/nowhere", ["/nowhere: is not a folder of configs", "DIRECTOR_CONFIGS"]),
        ("DIRECTOR_STORE", "nosuch://bucket", ["nosuch://bucket", "DIRECTOR_STORE"]),
        ("DIRECTOR_STORE", __file__, ["test_bad_input.py", "DIRECTOR_STORE"]),
        ("DAGSTER_HOME", __file__, ["test_bad_input.py", "DAGSTER_HOME"]),
    ],
)
def test_surroundings_that_are_not_there_are_named(
    project: TinyProject, add: Callable[..., Path], variable: str, value: str, words: list[str]
) -> None:
    add("ann")
    refused(project.run("ann", "--until", "stills", **{variable: value}), *words)


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("recipes/mini_lora", {"rnak": 4}, ["recipes/mini_lora.yaml", "rnak", "allowed are"]),
        (
            "recipes/mini_lora",
            {"adapter": {"kind": "lora", "rank": 0, "alpha": 8}},
            ["recipes/mini_lora.yaml", "rank = 0", "greater than or equal to 1"],
        ),
        ("directors/ann", {"trigger": "a, b"}, ["directors/ann.yaml", "trigger", "Mend"]),
    ],
)
def test_a_spec_that_cannot_be_is_refused_before_any_work(
    project: TinyProject, add: Callable[..., Path], name: str, values: dict[str, object], words: list[str]
) -> None:
    add("ann")
    path = project.configs / f"{name}.yaml"
    original = path.read_text()
    change(project.configs, name, **values)
    try:
        refused(project.run("ann"), *words)
    finally:
        path.write_text(original)


@pytest.mark.parametrize("kind", ["absent", "empty", "text"])
def test_a_director_without_stills_is_told_where_they_go(
    project: TinyProject, add: Callable[..., Path], kind: str
) -> None:
    folder = add(f"none_{kind}")
    if kind != "absent":
        (folder / "film").mkdir(parents=True)
    if kind == "text":
        (folder / "film" / "one.txt").write_text("a caption of nothing")
    outcome = project.run(f"none_{kind}", "--until", "stills")
    refused(outcome, f"stills/none_{kind}", f"Put stills into stills/none_{kind}/<film>/", "director add")
    assert outcome.rows[0]["stills_kept"] is None


def test_one_directors_fault_does_not_keep_the_others_from_running(
    project: TinyProject, add: Callable[..., Path]
) -> None:
    add("good", ENOUGH)
    add("bad")
    outcome = project.run("bad", "good", "--until", "stills")
    refused(outcome, "bad: stills/bad: does not exist")
    assert [(row["director"], row["stills_kept"]) for row in outcome.rows] == [("bad", None), ("good", ENOUGH)]


def test_a_full_disk_is_named_and_what_was_made_stays(
    project: TinyProject, add: Callable[..., Path], tmp_path: Path
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "tmpfs", str(small)], capture_output=True
    ).returncode:
        pytest.skip("a small disk can be mounted by root alone")
    try:
        add("full")
        save_stills(small / "stills" / "full", ENOUGH)
        places = {"DIRECTOR_STORE": str(small)}
        assert project.run("full", "--until", "stills", **places).code == 0
        disk = TinyProject(tmp_path / "view")
        (tmp_path / "view").mkdir()
        (tmp_path / "view" / "store").symlink_to(small)
        before = disk.artifacts("full")
        save_stills(small / "stills" / "full", 2, first=ENOUGH)
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            (small / "ballast").write_bytes(bytes(SMALL_DISK))
        outcome = project.run("full", "--until", "stills", **places)
        refused(outcome, "no space left in", "Free some space and run again")
        assert disk.artifacts("full")["stills"] == before["stills"]
        disk.assert_whole("full")
        (small / "ballast").unlink()
        assert project.run("full", "--until", "stills", **places).rows[0]["stills_kept"] == ENOUGH + 2
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_store_that_may_not_be_written_is_named_and_stays_readable(
    project: TinyProject, add: Callable[..., Path], tmp_path: Path
) -> None:
    stills = add("fixed", ENOUGH)
    assert project.run("fixed", "--until", "stills").code == 0
    before = project.artifacts("fixed")
    save_stills(stills, 2, first=ENOUGH)
    folders = [path for path in (project.folder / "store").rglob("*") if path.is_dir()]
    try:
        for path in folders:
            path.chmod(0o555)
        outcome = project.start("fixed", "--until", "stills", first=drop_right_to_read_anything).end()
    finally:
        for path in folders:
            path.chmod(0o755)
    refused(outcome, "read-only for this user", "Make it writable and run again")
    assert outcome.rows[0]["stills_kept"] == ENOUGH, "the table tells what there is"
    assert project.artifacts("fixed") == before
    project.assert_whole("fixed")
    assert project.run("fixed", "--until", "stills").rows[0]["stills_kept"] == ENOUGH + 2


def test_of_two_runs_of_one_director_the_second_is_told_who_is_at_it(
    project: TinyProject, add: Callable[..., Path], tmp_path: Path
) -> None:
    add("twice", ENOUGH)
    begun, go = tmp_path / "begun", tmp_path / "go"
    first = project.start("twice", "--until", "stills", first=partial(wait_in_stills, begun, go))
    first.wait_until(begun.exists)
    second = project.run("twice", "--until", "stills")
    go.touch()
    refused(
        second,
        "stills/twice: is being written by run ",
        f"(process {first.process.pid} on ",
        "Wait for it to end",
    )
    outcome = first.end()
    assert outcome.code == 0, outcome.err
    assert outcome.rows[0]["stills_kept"] == ENOUGH
    project.assert_whole("twice")
    assert project.run("twice", "--until", "stills").rows[0]["reused"] == 4


def test_a_base_that_lacks_a_part_is_named_and_leaves_what_was_made(
    made: TinyProject, mini_base: Path, tmp_path: Path
) -> None:
    project = made.copy(tmp_path / "project")
    before, original = project.artifacts("nolan"), read(project.configs, "bases/mini")
    shutil.copytree(mini_base, project.folder / "my_base")
    shutil.rmtree(project.folder / "my_base" / "vae")
    change(project.configs, "bases/mini", source={"kind": "folder", "folder": "my_base"})
    outcome = project.run("nolan", "--until", "latents")
    refused(outcome, "my_base", "vae")
    assert project.artifacts("nolan")["mini/latents"] == before["mini/latents"]
    shutil.rmtree(project.folder / "my_base")
    refused(project.run("nolan", "--until", "latents"), "my_base: is not a folder")
    change(project.configs, "bases/mini", source=original["source"])
    assert project.run("nolan").rows[0]["reused"] == WHOLE_RUN
    project.assert_whole("nolan")


class _Hub(BaseHTTPRequestHandler):
    """Refuses every request."""

    status, reason = 404, ""

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        if self.reason:
            self.send_header("X-Error-Code", self.reason)
        self.end_headers()

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *arguments: object) -> None:
        return None


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Hub]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between huggingface_hub's attempts
    monkeypatch.setattr("resources.stage.RETRY_WAIT_S", 0)
    yield _Hub
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "reason", "words"),
    [
        (403, "GatedRepo", ["some/one@bbbbbbbb: is gated", "Accept it at http", "HF_TOKEN"]),
        (404, "RepoNotFound", ["some/one@bbbbbbbb: was not found", "Check the name"]),
        (503, "", ["some/one@bbbbbbbb: could not be downloaded (HTTP 503)", "run again"]),
    ],
)
def test_a_model_that_the_hub_refuses_is_named_in_the_end(
    made: TinyProject, hub: type[_Hub], tmp_path: Path, status: int, reason: str, words: list[str]
) -> None:
    project = made.copy(tmp_path / "project")
    before = project.artifacts("nolan")
    hub.status, hub.reason = status, reason
    source = {"kind": "hub", "repo": "some/one", "revision": REVISION}
    change(project.configs, "bases/mini", source=source)
    refused(project.run("nolan", "--until", "latents"), *words)
    assert project.artifacts("nolan") == before
    project.assert_whole("nolan")
