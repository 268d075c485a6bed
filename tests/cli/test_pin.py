"""`director pin`: revisions beside the repositories of bases, recipes, plans and projects, and nothing else touched."""

import shutil
from pathlib import Path

import pytest
import yaml

from director_diffusion.catalog import load_catalog
from pipelines.cli.main import main
from pipelines.cli.pin import Place, with_revisions
from tests.small_configs import CONFIGS, change, read

PLAN = """\
# Four prompts.
embedder: # the one
  source:
    kind: hub
    repo: laion/CLIP   # a repository
    revision: {old}
    weights: a.safetensors
encoder: {{model: m, source: {{kind: hub, repo: timm/vit}}}} # not yet
style_projection:
  source:
    kind: hub
    repo: csd/csd
  weights: überall.safetensors
"""
A, B, C, D = ("a" * 40, "b" * 40, "c" * 40, "d" * 40)
PLACES: dict[Place, str] = {("embedder", "source"): A, ("encoder", "source"): B, ("style_projection", "source"): C}


@pytest.mark.parametrize("old", [D, f'"{D}"', ""])
def test_revisions_are_written_and_all_else_stays(old: str) -> None:
    text = PLAN.format(old=old).replace("revision: \n", "revision:\n")
    found = with_revisions(text, PLACES)
    expected = PLAN.format(old=A).replace("repo: timm/vit}", f"repo: timm/vit, revision: {B}}}")
    assert found == expected.replace("repo: csd/csd\n", f"repo: csd/csd\n    revision: {C}\n")
    assert yaml.safe_load(found)["style_projection"]["source"]["revision"] == C
    assert with_revisions(found, PLACES) == found


@pytest.fixture
def configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shipped configs, and a Hub whose every repository is at a commit of its own."""
    shutil.copytree(CONFIGS, tmp_path / "configs")
    monkeypatch.setenv("DIRECTOR_CONFIGS", str(tmp_path / "configs"))
    monkeypatch.setattr(
        "director_diffusion.models.hub.newest_revision", lambda repo, *, token: f"{len(repo):02d}" + "c0de" + "0" * 34
    )
    return tmp_path / "configs"


def test_every_model_of_a_plan_is_pinned(configs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (configs / "evaluations" / "film.yaml").read_text()
    assert main(["pin", "film"]) == 0
    plan = load_catalog(configs).evaluations["film"]
    told = capsys.readouterr().out
    for source in (plan.embedder.source, plan.encoder.source):
        assert source.kind == "hub"
        assert source.revision == f"{len(source.repo):02d}" + "c0de" + "0" * 34
        assert f"is pinned to {source.repo} at {source.revision}." in told
    comments = [line.partition("#")[2] for line in before.splitlines()]
    after = (configs / "evaluations" / "film.yaml").read_text()
    assert [line.partition("#")[2] for line in after.splitlines() if "#" in line] == [c for c in comments if c]


@pytest.mark.parametrize("slug", ["sdxl", "flux_dev", "krea"])
def test_bases_and_projects_are_pinned_too(configs: Path, slug: str) -> None:
    """`sdxl` is the name of a base and of a project: both are pinned."""
    assert main(["pin", slug]) == 0
    catalog = load_catalog(configs)
    sources = [catalog.bases[slug].source] if slug in catalog.bases else []
    sources += [catalog.projects[slug].captioner.source] if slug in catalog.projects else []
    assert len(sources) == (2 if slug == "sdxl" else 1)
    for source in sources:
        assert source.kind == "hub"
        assert source.revision == f"{len(source.repo):02d}" + "c0de" + "0" * 34


def test_the_baseline_of_a_recipes_students_is_pinned(configs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = {"kind": "hub", "repo": "latent-consistency/lcm-lora-sdv1-5"}
    turbo = read(configs, "recipes/sd15_lora_turbo")["turbo"]
    change(configs, "recipes/sd15_lora_turbo", turbo={**turbo, "baseline": {"source": source}})
    assert main(["pin", "sd15_lora_turbo"]) == 0
    baseline = load_catalog(configs).recipes["sd15_lora_turbo"].baseline
    assert baseline is not None
    assert baseline.source.kind == "hub"
    assert baseline.source.revision == f"{len(source['repo']):02d}" + "c0de" + "0" * 34
    assert "sd15_lora_turbo turbo.baseline.source is pinned to latent-consistency" in capsys.readouterr().out


def test_what_takes_nothing_from_the_hub_or_is_not_there_is_refused(
    configs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pin", "mini"]) == 1
    assert "mini: takes nothing from the Hub" in capsys.readouterr().err
    assert main(["pin", "lunch"]) == 1
    assert "lunch: is no base, recipe, evaluation plan or project. Choose of demo, film, " in capsys.readouterr().err
