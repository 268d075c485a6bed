"""Sources: fingerprints that say what a model holds, and folders that are there whole or not at all."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from types import ModuleType

import pytest

from director_diffusion.errors import ModelError
from director_diffusion.models import folder as folder_module
from director_diffusion.models.source import fingerprint, resolve, resolve_base
from director_diffusion.progress import Progress, Silent
from director_diffusion.specs import Base, BuiltSource, FolderSource, Guidance, HubSource, Licence, Resolution

REVISION = "0123456789" * 4
WHERE = "director_diffusion.mini.build"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "root" / "models" / "some"
    (path / "part").mkdir(parents=True)
    (path / "config.json").write_text("{}")
    (path / "part" / "weights.safetensors").write_bytes(b"weights")
    return path


def folder_source(name: str = "models/some") -> FolderSource:
    return FolderSource(kind="folder", folder=name)


def test_a_hub_model_is_named_by_its_revision(tmp_path: Path) -> None:
    source = HubSource(kind="hub", repo="owner/name", revision=REVISION)
    assert fingerprint(source, root=tmp_path, cache=tmp_path) == f"owner/name@{REVISION}"
    one_file = source.model_copy(update={"weights": "a.safetensors"})
    assert fingerprint(one_file, root=tmp_path, cache=tmp_path) == f"owner/name@{REVISION}:a.safetensors"


def test_a_folder_is_named_by_its_content_wherever_it_lies(model: Path, tmp_path: Path) -> None:
    first = fingerprint(folder_source(), root=tmp_path / "root", cache=tmp_path / "cache")
    shutil.copytree(tmp_path / "root", tmp_path / "elsewhere")
    (tmp_path / "elsewhere/models/some/.cache").mkdir()
    (tmp_path / "elsewhere/models/some/.cache/downloads.json").write_text("what a downloader left")
    assert fingerprint(folder_source(), root=tmp_path / "elsewhere", cache=tmp_path / "other cache") == first
    (model / "part" / "weights.safetensors").write_bytes(b"WEIGHTS")
    changed = fingerprint(folder_source(), root=tmp_path / "root", cache=tmp_path / "cache")
    assert changed != first
    (model / "part" / "weights.safetensors").rename(model / "part" / "renamed.safetensors")
    assert fingerprint(folder_source(), root=tmp_path / "root", cache=tmp_path / "cache") not in (first, changed)


def test_a_files_content_is_read_once(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = fingerprint(folder_source(), root=tmp_path / "root", cache=tmp_path / "cache")
    read: list[str] = []
    hash_file = folder_module.hash_file
    monkeypatch.setattr(folder_module, "hash_file", lambda path: (read.append(path.name), hash_file(path))[1])
    assert fingerprint(folder_source(), root=tmp_path / "root", cache=tmp_path / "cache") == first
    assert read == []
    (model / "config.json").write_text('{"changed": 1}')
    assert fingerprint(folder_source(), root=tmp_path / "root", cache=tmp_path / "cache") != first
    assert read == ["config.json"]
    memo = tmp_path / "cache" / "folder-hashes.json"
    memo.write_text(memo.read_text()[:20])  # a damaged memo costs time, nothing else
    fingerprint(folder_source(), root=tmp_path / "root", cache=tmp_path / "cache")
    assert sorted(read) == ["config.json", "config.json", "weights.safetensors"]


def test_a_folder_is_found_relative_to_the_root_or_refused(model: Path, tmp_path: Path) -> None:
    def find(name: str) -> Path:
        return resolve(folder_source(name), root=tmp_path / "root", cache=tmp_path, token=None, progress=Silent())

    assert find("models/some") == find(str(model)) == model
    with pytest.raises(ModelError, match=r"models/none: is not a folder .*Put the model there"):
        find("models/none")
    (tmp_path / "root" / "empty").mkdir()
    with pytest.raises(ModelError, match="holds no files"):
        fingerprint(folder_source("empty"), root=tmp_path / "root", cache=tmp_path)


def test_only_the_settings_of_a_part_name_it(tmp_path: Path) -> None:
    def name(**values: object) -> str:
        return fingerprint(BuiltSource.model_validate({"kind": "built", **values}), root=tmp_path, cache=tmp_path)

    assert name(part="base") != name(part="base", seed=1)
    assert name(part="base") != name(part="base", vae_steps=7)
    assert name(part="base") == name(part="base", embedder_steps=7)
    assert name(part="embedder") != name(part="embedder", embedder_steps=7)
    assert name(part="embedder") == name(part="embedder", vae_steps=7)
    assert len({name(part=part).split("-")[1] for part in ("base", "captioner", "embedder")}) == 3


def test_fingerprints_need_no_torch() -> None:
    code = """
        import sys
        from pathlib import Path
        from director_diffusion.models.source import fingerprint
        from director_diffusion.specs import BuiltSource
        fingerprint(BuiltSource(kind="built"), root=Path("."), cache=Path("."))
        assert not {"torch", "diffusers", "transformers"} & sys.modules.keys()
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


class Builder(ModuleType):
    """Stands for the builder of the small set, which takes a minute."""

    def __init__(self) -> None:
        super().__init__(WHERE)
        self.built = 0
        self.fails = False

    def build_part(self, source: BuiltSource, folder: Path, progress: Progress) -> None:
        assert not folder.exists()
        self.built += 1
        folder.mkdir(parents=True)
        (folder / "one").write_text("1")
        if self.fails:
            raise KeyboardInterrupt
        (folder / "two").write_text("2")


def test_a_part_is_built_once_and_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    builder = Builder()
    monkeypatch.setitem(sys.modules, WHERE, builder)

    def build() -> Path:
        return resolve(
            BuiltSource(kind="built"), root=tmp_path, cache=tmp_path / "cache", token=None, progress=Silent()
        )

    builder.fails = True
    with pytest.raises(KeyboardInterrupt):
        build()
    assert not [path for path in (tmp_path / "cache").iterdir() if path.name.startswith("base-") and path.is_dir()]
    builder.fails = False
    folder = build()
    assert {path.name for path in folder.iterdir()} == {"one", "two"}
    assert build() == folder
    assert builder.built == 2


def test_a_killed_build_is_taken_up_by_the_next(tmp_path: Path) -> None:
    code = """
        import sys, time, types
        from pathlib import Path
        from director_diffusion.models.source import resolve
        from director_diffusion.progress import Silent
        from director_diffusion.specs import BuiltSource

        def build_part(source, folder, progress):
            folder.mkdir(parents=True)
            (folder / "one").write_text("1")
            print("begun", flush=True)
            time.sleep(float(sys.argv[2]))
            (folder / "two").write_text("2")

        module = types.ModuleType("director_diffusion.mini.build")
        module.build_part = build_part
        sys.modules["director_diffusion.mini.build"] = module
        cache = Path(sys.argv[1])
        print(resolve(BuiltSource(kind="built"), root=cache, cache=cache, token=None, progress=Silent()), flush=True)
    """

    def build(seconds: float) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), str(tmp_path), str(seconds)],
            stdout=subprocess.PIPE,
            text=True,
        )

    with build(60) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == "begun\n"
        with build(0) as waiting:  # holds on while the first is at it
            assert waiting.stdout is not None
            time.sleep(0.2)
            os.kill(killed.pid, signal.SIGKILL)
            assert waiting.stdout.readline() == "begun\n"
            folder = Path(waiting.stdout.readline().strip())
    assert {path.name for path in folder.iterdir()} == {"one", "two"}


@pytest.mark.parametrize(
    ("code", "message"), [(errno.ENOSPC, "has no space left for a model"), (errno.EROFS, "cannot be written")]
)
def test_a_disk_that_takes_nothing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, message: str
) -> None:
    def build_part(source: BuiltSource, folder: Path, progress: Progress) -> None:
        raise OSError(code, os.strerror(code))

    builder = Builder()
    monkeypatch.setattr(builder, "build_part", build_part)
    monkeypatch.setitem(sys.modules, WHERE, builder)
    with pytest.raises(ModelError, match=rf"{message}.*model_cache"):
        resolve(BuiltSource(kind="built"), root=tmp_path, cache=tmp_path, token=None, progress=Silent())


def test_a_base_with_a_component_missing_names_it(mini_base: Path, tmp_path: Path) -> None:
    copy = tmp_path / "base"
    shutil.copytree(mini_base, copy)
    base = Base(
        slug="copied",
        name="copied",
        family="flux",
        source=FolderSource(kind="folder", folder="base"),
        model_id="copied",
        licence=Licence(id="apache-2.0"),
        guidance=Guidance(kind="embedded"),
        resolution=Resolution(side=64, multiple=8),
    )

    def find() -> Path:
        return resolve_base(base, root=tmp_path, cache=tmp_path / "cache", token=None, progress=Silent())

    assert find() == copy
    (copy / "text_encoder_2" / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"text_encoder_2/ lacks model.safetensors"):
        find()
