"""Sources: fingerprints that say what a model holds, and folders that are there whole or not at all."""

import errno
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from director_diffusion.errors import ModelError
from director_diffusion.models import folder as folder_module
from director_diffusion.models.source import fingerprint, resolve, resolve_base
from director_diffusion.specs import Base, FolderSource, Guidance, HubSource, Licence, Resolution, TrainedSource
from director_diffusion.storage import Artifact, Store
from tests.models.trained_set import keep_trained

REVISION = "0123456789" * 4
NO_STORE = Store("nowhere")  # that models from elsewhere never ask


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
    assert fingerprint(source, root=tmp_path, cache=tmp_path, store=NO_STORE) == f"owner/name@{REVISION}"
    one_file = source.model_copy(update={"weights": "a.safetensors"})
    assert (
        fingerprint(one_file, root=tmp_path, cache=tmp_path, store=NO_STORE) == f"owner/name@{REVISION}:a.safetensors"
    )


def test_a_folder_is_named_by_its_content_wherever_it_lies(model: Path, tmp_path: Path) -> None:
    first = fingerprint(folder_source(), root=tmp_path / "root", cache=tmp_path / "cache", store=NO_STORE)
    shutil.copytree(tmp_path / "root", tmp_path / "elsewhere")
    (tmp_path / "elsewhere/models/some/.cache").mkdir()
    (tmp_path / "elsewhere/models/some/.cache/downloads.json").write_text("what a downloader left")
    assert (
        fingerprint(folder_source(), root=tmp_path / "elsewhere", cache=tmp_path / "other cache", store=NO_STORE)
        == first
    )
    (model / "part" / "weights.safetensors").write_bytes(b"WEIGHTS")
    changed = fingerprint(folder_source(), root=tmp_path / "root", cache=tmp_path / "cache", store=NO_STORE)
    assert changed != first
    (model / "part" / "weights.safetensors").rename(model / "part" / "renamed.safetensors")
    assert fingerprint(folder_source(), root=tmp_path / "root", cache=tmp_path / "cache", store=NO_STORE) not in (
        first,
        changed,
    )


def test_a_files_content_is_read_once(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = fingerprint(folder_source(), root=tmp_path / "root", cache=tmp_path / "cache", store=NO_STORE)
    read: list[str] = []
    hash_file = folder_module.hash_file
    monkeypatch.setattr(folder_module, "hash_file", lambda path: (read.append(path.name), hash_file(path))[1])
    assert fingerprint(folder_source(), root=tmp_path / "root", cache=tmp_path / "cache", store=NO_STORE) == first
    assert read == []
    (model / "config.json").write_text('{"changed": 1}')
    assert fingerprint(folder_source(), root=tmp_path / "root", cache=tmp_path / "cache", store=NO_STORE) != first
    assert read == ["config.json"]
    memo = tmp_path / "cache" / "folder-hashes.json"
    memo.write_text(memo.read_text()[:20])  # a damaged memo costs time, nothing else
    fingerprint(folder_source(), root=tmp_path / "root", cache=tmp_path / "cache", store=NO_STORE)
    assert sorted(read) == ["config.json", "config.json", "weights.safetensors"]


def test_a_folder_is_found_relative_to_the_root_or_refused(model: Path, tmp_path: Path) -> None:
    def find(name: str) -> Path:
        return resolve(folder_source(name), root=tmp_path / "root", cache=tmp_path, store=NO_STORE, token=None)

    assert find("models/some") == find(str(model)) == model
    with pytest.raises(ModelError, match=r"models/none: is not a folder .*Put the model there"):
        find("models/none")
    (tmp_path / "root" / "empty").mkdir()
    with pytest.raises(ModelError, match="holds no files"):
        fingerprint(folder_source("empty"), root=tmp_path / "root", cache=tmp_path, store=NO_STORE)


def test_fingerprints_need_no_torch(tmp_path: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        from director_diffusion.models.source import fingerprint
        from director_diffusion.specs import HubSource, SingleFileSource
        from director_diffusion.storage import Store
        hub = HubSource(kind="hub", repo="owner/name", revision="0" * 40)
        file = SingleFileSource(kind="single_file", file=f"{sys.argv[1]}/checkpoint", rest=hub)
        Path(file.file).write_bytes(b"any")
        for source in (hub, file):
            fingerprint(source, root=Path("."), cache=Path(sys.argv[1]), store=Store("store"))
        assert not {"torch", "diffusers", "transformers"} & sys.modules.keys()
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], check=True)


@pytest.fixture
def trained(tmp_path: Path) -> Artifact:
    """What a `tiny/base_model` leaves, with two parts of one file each."""
    return keep_trained(Store(str(tmp_path / "store")), tmp_path, key="first", captioner="says")


def trained_source(part: str = "base", base: str = "tiny") -> TrainedSource:
    return TrainedSource.model_validate({"kind": "base_model", "base": base, "part": part})


def test_a_model_trained_here_is_the_latest_in_the_store(trained: Artifact, tmp_path: Path) -> None:
    def name(part: str) -> str:
        return fingerprint(trained_source(part), root=tmp_path, cache=tmp_path, store=trained.store)

    def text() -> str:
        folder = resolve(trained_source("captioner"), root=tmp_path, cache=tmp_path, store=trained.store, token=None)
        return (folder / "config.json").read_text()

    base, captioner = name("base"), name("captioner")
    assert base != captioner
    assert text() == "says"
    keep_trained(trained.store, tmp_path, key="second", captioner="says more")
    assert name("base") == base, "named by its own files, whatever else was trained"
    assert name("captioner") != captioner
    assert text() == "says more"


def test_a_remote_store_lends_a_whole_copy(tmp_path: Path) -> None:
    store = Store("memory://trained")
    keep_trained(store, tmp_path, key="first", captioner="says")
    source, cache = trained_source("captioner"), tmp_path / "cache"
    folder = resolve(source, root=tmp_path, cache=cache, store=store, token=None)
    assert [path.name for path in folder.iterdir()] == ["config.json"]
    assert resolve(source, root=tmp_path, cache=cache, store=store, token=None) == folder


def test_a_model_not_trained_yet_or_without_that_part_is_named(trained: Artifact, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"other/base_model: has not been trained yet.*director build-base other"):
        fingerprint(trained_source(base="other"), root=tmp_path, cache=tmp_path, store=trained.store)
    with pytest.raises(ModelError, match=r"tiny/base_model: holds no embedder"):
        resolve(trained_source("embedder"), root=tmp_path, cache=tmp_path, store=trained.store, token=None)


@pytest.mark.parametrize(
    ("code", "message"), [(errno.ENOSPC, "has no space left for a model"), (errno.EROFS, "cannot be written")]
)
def test_a_disk_that_takes_nothing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, message: str
) -> None:
    def copytree(source: Path, target: Path) -> None:
        raise OSError(code, os.strerror(code))

    store = Store("memory://full")
    keep_trained(store, tmp_path, key="first", captioner="says")
    monkeypatch.setattr("director_diffusion.models.trained.shutil.copytree", copytree)
    with pytest.raises(ModelError, match=rf"{message}.*model_cache"):
        resolve(trained_source(), root=tmp_path, cache=tmp_path, store=store, token=None)


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
        return resolve_base(base, root=tmp_path, cache=tmp_path / "cache", store=NO_STORE, token=None)

    assert find() == copy
    (copy / "text_encoder_2" / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"text_encoder_2/ lacks model.safetensors"):
        find()
