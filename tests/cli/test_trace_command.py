"""`director trace`: what is meant by its word, tables and JSON."""

import json
from pathlib import Path

import pytest

from director_diffusion.publishing.hub_server import HubServer
from director_diffusion.training.rows import WEIGHTS
from tests.lineages import DIRECTOR, Lineage, Published, picture, still_id
from tests.loopback_hub.server import LoopbackHub
from tests.publishing.small_repository import small_repository
from tests.small_configs import change
from tests.tiny_project import TinyProject


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> TinyProject:
    """A director's lineage, published in the folder hub."""
    return TinyProject.make(tmp_path_factory.mktemp("trace"), directors=(DIRECTOR,))


@pytest.fixture(scope="module")
def published(project: TinyProject) -> Published:
    published = Lineage(project.store).publish(3)
    root = "hub/models--studio--nolan-mini_lora"
    project.store.write(f"{root}/refs/main", published.commit.encode())
    for file in published.card.manifest.files:
        name = file.name.removeprefix("repo/")
        project.store.write(f"{root}/snapshots/{published.commit}/{name}", published.card.read(file.name))
    return published


@pytest.mark.parametrize("given", ["file", "folder", "repository"])
def test_a_file_a_folder_and_a_repository_of_the_hub_tell_the_same(
    project: TinyProject, published: Published, given: str
) -> None:
    repo = published.card.local_folder / "repo"
    word = {"file": str(repo / WEIGHTS), "folder": str(repo), "repository": "studio/nolan-mini_lora"}[given]
    outcome = project.director("trace", word)
    assert outcome.code == 0, outcome.err
    told = " ".join(outcome.out.split())
    for words in (
        published.version,
        "5 stills: 3 train, 1 held out, 1 validation",
        "a house 0",
        "pass: style",
        "seed 0",
    ):
        assert words in told
    data = json.loads(project.director("trace", word, "--json").out)
    assert (data["given"], data["adapter_version"], len(data["stills"])) == (word, published.version, 5)


def test_what_failed_is_said_first_and_by_how_much(project: TinyProject, tmp_path: Path) -> None:
    here = project.copy(tmp_path / "project")
    withheld = Lineage(here.store).publish(6, outcome="fail", status="withheld")
    reasons = [f"pass: question {n}" for n in range(6)] + ["fail: style falls"]
    here.store.write(
        f"{withheld.evaluation.folder}/verdict.json", json.dumps({"outcome": "fail", "reasons": reasons}).encode()
    )
    interval = {"against": "base_in_style", "part": "all", "mean": -0.05, "low": -0.08, "high": -0.0213}
    effects = [{"metric": metric, **interval} for metric in ("projection", "prompt", "luma")]
    here.store.write(
        f"{withheld.evaluation.folder}/effects.json", json.dumps({"effects": effects, "style": "projection"}).encode()
    )
    outcome = here.director("trace", str(withheld.adapter.path(WEIGHTS)))
    assert outcome.code == 0, outcome.err
    lines = [line.strip() for line in outcome.out.splitlines()]
    first = lines.index(f"mini_lora/release_evaluation {withheld.evaluation.manifest.key}: fail")
    assert lines[first + 1 : first + 8] == [reasons[-1], *reasons[:-1]]
    assert sum("base in style" in line and "-0.050" in line and "-0.080 to -0.021" in line for line in lines) == 2
    assert "Closeness to held-out stills (CSD)" in outcome.out
    assert "luma" not in outcome.out, "the verdict does not go by it"


def test_a_still_tells_what_it_went_into(project: TinyProject, published: Published, tmp_path: Path) -> None:
    file = tmp_path / "still.jpg"
    file.write_bytes(picture(0))
    outcome = project.director("trace", "--still", str(file))
    assert outcome.code == 0, outcome.err
    told = " ".join(outcome.out.split())
    for words in (
        "film/0.jpg",
        "trained on",
        published.version[:12],
        "1 adapters learned from it",
        f"published, studio/nolan-mini_lora at {published.commit}",
    ):
        assert words in told
    data = json.loads(project.director("trace", "--still", still_id(3), "--json").out)
    assert data["learned"] == []
    assert {use["split"] for use in data["uses"]} == {"held_out"}


NOTHING = "is no file, no folder and no repository of the hub"


@pytest.mark.parametrize("kind", ["folder", "hub"])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing.safetensors"], {"folder": NOTHING, "hub": NOTHING}),
        (["../out/nothing"], {"folder": NOTHING, "hub": NOTHING}),
        (["/tmp/absent/x.safetensors"], {"folder": NOTHING, "hub": NOTHING}),
        (["studio/absent"], {"folder": NOTHING, "hub": "studio/absent@main: was not found, or this user may not read"}),
        (["--still", "0123456789abcdef"], {"folder": "is no still that", "hub": "is no still that"}),
    ],
)
def test_what_nobody_knows_is_said_in_a_line(
    project: TinyProject, published: Published, tmp_path: Path, kind: str, arguments: list[str], words: dict[str, str]
) -> None:
    here = project.copy(tmp_path / "project")
    with LoopbackHub(tmp_path / "loopback") as hub:
        if kind == "hub":
            change(here.configs, "deployments/local", hub={"kind": "hub", "endpoint": hub.endpoint})
        outcome = here.director("trace", *arguments, HF_TOKEN=hub.token)
        assert (outcome.code, outcome.out) == (1, "")
        assert words[kind] in outcome.err
        assert len(outcome.err.splitlines()) == 1
        assert (hub.endpoint in outcome.err) == (kind == "hub" and "--still" not in arguments)
        assert "huggingface.co" not in outcome.err


def test_a_private_repository_of_a_server_tells_the_same(
    project: TinyProject, published: Published, tmp_path: Path
) -> None:
    repo, here = small_repository(tmp_path / "repo"), project.copy(tmp_path / "project")
    for name in (WEIGHTS, "provenance.json"):
        (repo / name).write_bytes(published.card.read(f"repo/{name}"))
    with LoopbackHub(tmp_path / "loopback") as hub:
        HubServer(hub.endpoint, hub.token).put(repo, "studio/nolan", tag="v1")
        change(here.configs, "deployments/local", hub={"kind": "hub", "endpoint": hub.endpoint})
        outcome = here.director("trace", "studio/nolan", "--json", HF_TOKEN=hub.token)
        assert outcome.code == 0, outcome.err
        assert json.loads(outcome.out)["adapter_version"] == published.version
        refused = here.director("trace", "studio/nolan", HF_TOKEN="hf_of_somebody_else")
        assert (refused.code, refused.out) == (1, "")
        assert "studio/nolan@main: was not found, or this user may not read it" in refused.err
        assert "hf_of_somebody_else" not in refused.err


@pytest.mark.parametrize("arguments", [[], ["a", "--still", "b"]])
def test_one_thing_is_traced_at_a_time(project: TinyProject, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        project.director("trace", *arguments)
    assert caught.value.code == 2
