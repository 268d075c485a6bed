"""The doctor: every lack comes with the way to mend it."""

from pathlib import Path

import pytest
import torch

from director_diffusion.models import doctor
from director_diffusion.models.doctor import Finding, examine, examine_device, examine_disk, examine_token
from director_diffusion.pretraining.manifest import write_manifest
from director_diffusion.specs import FolderSource, HubSource, TrainedSource
from director_diffusion.storage import Store

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
            device="cpu",
            store=Store(str(tmp_path / "not yet" / "made")),
            cache=tmp_path / "cache",
            root=tmp_path,
            token=None,
        )
    }
    assert findings["here"].state == "ok"
    assert (findings["gone"].state, findings["gone"].mend[:9]) == ("missing", "Put the m")
    assert (findings["small"].state, "director build-base small" in findings["small"].mend) == ("missing", True)
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
    write_manifest("mini", {}, tmp_path / "set")

    def examined(part: str) -> Finding:
        source = FolderSource(kind="folder", folder=f"set/{part}")
        store = Store(str(tmp_path / "store"))
        return doctor.examine_model(part, source, root=tmp_path, cache=tmp_path / "cache", store=store)

    assert (examined("base").state, "as its manifest says" in examined("base").detail) == ("ok", True)
    (tmp_path / "set/base/weights").write_text("damaged")
    (tmp_path / "set/base/extra").write_text("unknown")
    assert examined("base").state == "missing"
    assert examined("base").detail.endswith("base/extra, base/weights")
    assert examined("captioner").state == "ok"
    (tmp_path / "set/manifest.json").write_text("[]")
    assert "manifest.json: cannot be read" in examined("captioner").detail


def test_a_token_is_named_but_never_shown() -> None:
    finding = examine_token("hf_secret", ["base"])
    assert finding == Finding("HF_TOKEN", "ok", "set")


def test_a_full_disk_is_a_warning(tmp_path: Path) -> None:
    assert examine_disk("store", tmp_path, needed=1).state == "ok"
    full = examine_disk("store", tmp_path, needed=2**60)
    assert full.state == "warning"
    assert "Free" in full.mend


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_missing_gpu_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    finding = examine_device("cuda")
    assert finding.state == "missing"
    assert finding.mend
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    assert "nvidia-smi" in examine_device("cuda").detail
