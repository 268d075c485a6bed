"""From a verdict that withholds, over a sign-off, to a live adapter in ComfyUI's folder, and all the way back."""

import json
from collections import Counter
from pathlib import Path

import pytest

from director_diffusion.releases.delivery import delivered_version
from director_diffusion.storage import Store
from director_diffusion.training.rows import WEIGHTS, adapter_version
from tests.small_configs import change
from tests.tiny_project import TinyProject

BY = ("--who", "ann", "--why", "six steps prove nothing")


@pytest.fixture
def project(made: TinyProject, tmp_path: Path) -> TinyProject:
    """A copy of what nolan has, which its verdict withholds."""
    project = made.copy(tmp_path / "project")
    change(project.configs, "deployments/local", deliver_to=str(tmp_path / "comfy"))
    return project


def status(project: TinyProject) -> str:
    return str(project.latest("mini_lora/published_model", "nolan").json("publication.json")["status"])


def traced(project: TinyProject, *words: str) -> dict[str, object]:
    outcome = project.director("trace", *words, "--json")
    assert outcome.code == 0, outcome.err
    data = json.loads(outcome.out)
    assert isinstance(data, dict)
    return data


def test_a_signed_off_adapter_is_published_promoted_and_traced(project: TinyProject, tmp_path: Path) -> None:
    adapter = project.latest("mini_lora/adapter", "nolan")
    version = adapter_version(adapter.manifest)
    assert status(project) == "withheld"
    refused = project.director("promote", "nolan", *BY)
    assert (refused.code, "is withheld: The verdict is" in refused.err) == (1, True)

    assert project.director("sign-off", "nolan", *BY).code == 0
    outcome = project.run("nolan")
    assert outcome.code == 0, outcome.err
    assert status(project) == "published"
    assert project.latest("mini_lora/adapter", "nolan").version == adapter.version
    promoted = project.director("promote", "nolan", *BY)
    assert promoted.code == 0, promoted.err
    assert "signed off by ann" in promoted.out
    assert delivered_version(Store(str(tmp_path / "comfy")), "nolan-mini_lora") == version

    kohya = tmp_path / "nolan.safetensors"
    assert project.director("export", "nolan", "--layout", "kohya", "--out", str(kohya)).code == 0
    repo_id = json.loads(project.director("releases", "--json").out)[0]["repo_id"]
    as_trained = traced(project, str(adapter.path(WEIGHTS)))
    for words in (str(kohya), str(tmp_path / "comfy" / "loras" / "nolan-mini_lora.safetensors"), repo_id):
        trace = traced(project, words)
        assert (trace["adapter_version"], trace["live"], trace["lacking"]) == (version, True, [])
        assert trace["stills"] == as_trained["stills"]
        assert trace["judgements"] == as_trained["judgements"]
    stills = as_trained["stills"]
    assert isinstance(stills, list)
    assert Counter(still["split"] for still in stills)["train"] > 0
    assert all(len(still["sha256"]) == 64 for still in stills)

    trained = next(still for still in stills if still["split"] == "train")
    other = next(still for still in stills if still["split"] != "train")
    raw = project.stills("nolan") / trained["film"] / trained["file"]
    forward = traced(project, "--still", str(raw))
    assert [release["live"] for release in forward["releases"]] == [True]  # type: ignore[attr-defined]
    assert [use["adapter_version"] for use in forward["learned"]] == [version]  # type: ignore[attr-defined]
    assert all(project.store.exists(name) for name in forward["files"])  # type: ignore[attr-defined]
    assert traced(project, "--still", other["still"])["learned"] == []

    assert project.director("sign-off", "nolan", "--clear", *BY).code == 0
    assert project.run("nolan").code == 0
    assert status(project) == "withheld"
