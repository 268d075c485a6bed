"""The doctor: every lack comes with the way to mend it."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from director_diffusion.models import doctor
from director_diffusion.models.doctor import (
    Finding,
    examine,
    examine_data,
    examine_device,
    examine_disk,
    examine_token,
)
from director_diffusion.pretraining.manifest import write_manifest
from director_diffusion.specs import FolderSource, HubSource, TrainedSource
from director_diffusion.storage import Store
from tests.models.trained_set import keep_trained
from tests.pretraining.small_bases import small_base

HUB = HubSource(kind="hub", repo="owner/name", revision="a" * 40)


def test_models_are_found_awaited_or_missing(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "config.json").write_text("{}")
    findings = {
        finding.name: finding
        for finding in examine(
            {
                "here": FolderSource(kind="folder", folder="there"),
                "gone": FolderSource(kind="folder", folder="nowhere"),
                "small": TrainedSource(kind="base_model", base="small"),
                "hub": HUB,
                "loose": HubSource(kind="hub", repo="owner/loose"),
            },
            families={"flux"},
            trained_here=[],
            device="cpu",
            store=Store(str(tmp_path / "not yet" / "made")),
            cache=tmp_path / "cache",
            root=tmp_path,
            token=None,
        )
    }
    assert findings["here"].state == "ok"
    assert (findings["gone"].state, findings["gone"].mend[:9]) == ("missing", "Put the m")
    small = Finding(
        "small",
        "warning",
        "small/base_model: has not been trained yet",
        "The first run trains it, or now: director build-base small",
    )
    assert findings["small"] == small
    assert (findings["hub"].state, findings["hub"].detail) == ("warning", "owner/name is not downloaded yet")
    assert (findings["loose"].state, "director pin" in findings["loose"].mend) == ("missing", True)
    assert findings["device"].state == "ok"
    assert findings["store"].detail.endswith("made")
    assert findings["HF_TOKEN"].state == "warning"
    assert "hub" in findings["HF_TOKEN"].detail
    assert all(finding.mend for finding in findings.values() if finding.state != "ok")


def test_files_that_are_not_as_their_manifest_says_are_named(tmp_path: Path) -> None:
    for name in ("base/config.json", "base/weights", "captioner/config.json"):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_text(name)
    write_manifest("small", {}, tmp_path / "set")

    def examined(part: str) -> Finding:
        source = FolderSource(kind="folder", folder=f"set/{part}")
        store = Store(str(tmp_path / "store"))
        return doctor.examine_model(part, source, root=tmp_path, cache=tmp_path / "cache", store=store)

    assert (examined("base").state, "as its manifest says" in examined("base").detail) == ("ok", True)
    (tmp_path / "set/base/weights").write_text("damaged")
    (tmp_path / "set/base/extra").write_text("unknown")
    assert examined("base").state == "missing"
    assert examined("base").detail.endswith("base/extra, base/weights")
    assert examined("base").mend.endswith(": director build-base small --export set")
    assert examined("captioner").state == "ok"
    (tmp_path / "set/manifest.json").write_text("[]")
    assert "manifest.json: cannot be read" in examined("captioner").detail


def test_a_manifest_that_names_no_base_is_told_as_one_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "set/base").mkdir(parents=True)
    (tmp_path / "set/base/config.json").write_text("{}")
    (tmp_path / "set/manifest.json").write_text('{"files": {}}')
    finding = doctor.examine_model(
        "base",
        FolderSource(kind="folder", folder="set/base"),
        root=tmp_path,
        cache=tmp_path / "cache",
        store=Store(str(tmp_path / "store")),
    )
    assert finding.state == "missing"
    assert "manifest.json: cannot be read" in finding.detail
    assert finding.mend


def test_a_part_that_is_trained_is_well_and_others_are_yet_to_be(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    keep_trained(store, tmp_path, key="first", captioner="says")

    def examined(part: str) -> Finding:
        source = TrainedSource.model_validate({"kind": "base_model", "base": "tiny", "part": part})
        return doctor.examine_model(part, source, root=tmp_path, cache=tmp_path / "cache", store=store)

    assert examined("captioner") == Finding("captioner", "ok", "trained here, as tiny/base_model")
    assert (examined("embedder").state, "holds no embedder" in examined("embedder").detail) == ("warning", True)


# --- data of bases trained here ----------------------------------------------------------------------------------


def test_idx_files_that_are_absent_are_named_with_where_to_have_them(tmp_path: Path) -> None:
    data = {"kind": "idx", "images": "d/images", "labels": "d/labels", "words": [["0", "zero"], ["1", "one"]]}
    base = small_base(data={**data, "available_at": "https://example.org/digits/"})
    images, labels = examine_data(base, root=tmp_path)
    assert (images.name, images.state) == ("data of small", "warning")
    assert (labels.name, labels.state) == ("data of small", "warning")
    for finding, place in ((images, "d/images"), (labels, "d/labels")):
        assert finding.detail == f"{place} was not found (looked for {tmp_path / place})"
        assert "https://example.org/digits/" in finding.mend
    (tmp_path / "d").mkdir()
    for place in ("d/images", "d/labels"):
        (tmp_path / place).write_bytes(b"bytes")
    assert examine_data(base, root=tmp_path) == [Finding("data of small", "ok", "d/images, d/labels")]


def test_an_image_folder_that_is_absent_is_named(tmp_path: Path) -> None:
    base = small_base(data={"kind": "imagefolder", "folder": "set"})
    (finding,) = examine_data(base, root=tmp_path)
    assert (finding.state, finding.detail) == ("warning", f"set is not a folder (looked for {tmp_path / 'set'})")
    assert finding.mend
    (tmp_path / "set/red").mkdir(parents=True)
    (tmp_path / "set/red/1.png").write_bytes(b"")
    assert examine_data(base, root=tmp_path) == [Finding("data of small", "ok", "set")]


def test_nothing_is_looked_for_where_data_is_drawn_or_elsewhere(tmp_path: Path) -> None:
    data = {"kind": "idx", "images": "https://example.org/i", "labels": "https://example.org/l", "words": [["0"]]}
    hub = {"kind": "hub", "repo": "owner/name", "revision": "a" * 40}
    for base in (small_base(), small_base(data=data), small_base(data=hub)):
        assert examine_data(base, root=tmp_path) == []


def test_a_token_is_named_but_never_shown() -> None:
    finding = examine_token("hf_secret", ["base"])
    assert finding == Finding("HF_TOKEN", "ok", "set")


def test_a_full_disk_is_a_warning(tmp_path: Path) -> None:
    assert examine_disk("store", tmp_path, needed=1).state == "ok"
    full = examine_disk("store", tmp_path, needed=2**60)
    assert full.state == "warning"
    assert "Free" in full.mend


@pytest.mark.parametrize(
    ("families", "gib", "state"),
    [({"flux", "sdxl"}, 24, "warning"), ({"flux"}, 80, "ok"), ({"sdxl", "sd15"}, 24, "ok"), ({"flux_pixel"}, 8, "ok")],
)
def test_only_a_project_of_flux_wants_a_large_gpu(
    monkeypatch: pytest.MonkeyPatch, families: set[str], gib: int, state: str
) -> None:
    gpu = SimpleNamespace(name="GPU", total_memory=gib * 2**30)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: gpu)
    finding = examine_device("cuda", families=families)
    assert (finding.state, finding.detail) == (state, f"1 × GPU, {gib} GiB")
    assert ("Flux" in finding.mend) == (state == "warning")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_missing_gpu_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    finding = examine_device("cuda", families={"flux"})
    assert finding.state == "missing"
    assert finding.mend
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    assert "nvidia-smi" in examine_device("cuda", families={"flux"}).detail
