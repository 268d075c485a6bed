"""`director export`: which adapters it writes, for whom, and where; what it refuses leaves nothing behind."""

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from diffusers import FluxTransformer2DModel
from safetensors import safe_open

from director_diffusion.adapters.files import save_adapter
from director_diffusion.adapters.injection import adapter_weights
from director_diffusion.specs import Adapter
from director_diffusion.storage import CheckOutcome, Manifest
from director_diffusion.storage.artifact import content_version, describe_files, set_latest, write_artifact
from director_diffusion.training.rows import WEIGHTS
from pipelines.build import build_models
from pipelines.surroundings import read_surroundings
from tests.adapters.adapted import SPECS, adapt, block_linears
from tests.small_configs import change, read, surroundings_of
from tests.tiny_project import TinyProject

KINDS = ("lora", "lokr", "dora")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, mini_base: Path) -> TinyProject:
    """An adapter of each kind by a recipe of its name, which has learned something."""
    project = TinyProject.make(tmp_path_factory.mktemp("export"), directors=("nolan",))
    for kind in KINDS:
        adapter = SPECS[kind].model_dump(mode="json")
        recipe = {**read(project.configs, "recipes/mini_lora"), "adapter": adapter}
        (project.configs / "recipes" / f"{kind}.yaml").write_text(yaml.safe_dump(recipe))
    change(project.configs, "projects/demo", recipes=list(KINDS))
    surroundings = read_surroundings(surroundings_of(project.folder))
    base = surroundings.catalog.bases["mini"]
    content = build_models(surroundings).fingerprint(base.source)
    for kind in KINDS:
        recipe = surroundings.catalog.recipes[kind].model_dump(mode="json")
        keep(project, kind, SPECS[kind], {"recipe_spec": json.dumps(recipe), "base_content": content}, mini_base)
    return project


def keep(project: TinyProject, kind: str, spec: Adapter, header: dict[str, str], base: Path) -> None:
    flux = FluxTransformer2DModel.from_pretrained(base / "transformer", local_files_only=True)
    targets = block_linears(flux)
    weights = adapter_weights(adapt(flux, spec, targets))
    out = project.folder / "out" / kind
    save_adapter(out / WEIGHTS, weights, spec, targets, role="transformer", metadata={"director": "nolan", **header})
    judge(project, kind, out, passed=True)


def judge(project: TinyProject, recipe: str, out: Path, *, passed: bool) -> None:
    """Make the files below `out` the latest adapter, with a blocking check that says so."""
    files = describe_files(out)
    check = CheckOutcome(name="reloads", passed=passed, blocking=True, description="another prediction")
    manifest = Manifest(
        asset=(recipe, "adapter"),
        partition="nolan",
        key=f"key-{passed}",
        plain_key=f"key-{passed}",
        version=content_version(files, ()),
        files=files,
        checks=(check,),
        code_version="1",
        seconds=0.0,
    )
    set_latest(write_artifact(project.store, out, manifest))


@pytest.fixture
def project(made: TinyProject, tmp_path: Path) -> TinyProject:
    """A copy, to be changed."""
    return made.copy(tmp_path / "project")


def words(recipe: str, out: Path, *more: str) -> tuple[str, ...]:
    return ("export", "nolan", "--recipe", recipe, "--out", str(out), *more)


def told(path: Path) -> dict[str, Any]:
    with safe_open(path, framework="pt") as file:
        return {"names": sorted(file.keys()), **file.metadata()}


def test_a_lora_is_written_as_it_was_trained(made: TinyProject, tmp_path: Path) -> None:
    outcome = made.director(*words("lora", tmp_path / "out.safetensors"))
    assert outcome.code == 0, outcome.err
    assert (tmp_path / "out.safetensors").read_bytes() == made.latest("lora/adapter", "nolan").read(WEIGHTS)
    assert [path.name for path in tmp_path.iterdir()] == ["out.safetensors"]


def test_an_adapter_that_its_check_refused_is_not_exported(project: TinyProject, tmp_path: Path) -> None:
    judge(project, "lora", project.folder / "out" / "lora", passed=False)
    outcome = project.director(*words("lora", tmp_path / "out.safetensors"))
    assert outcome.code == 1
    assert "lora/adapter of nolan: may not be used: its check reloads failed (another prediction)" in outcome.err
    assert not (tmp_path / "out.safetensors").exists()


def test_a_lokr_is_not_written_for_diffusers_which_cannot_load_it(made: TinyProject, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    outcome = made.director(*words("lokr", out))
    assert outcome.code == 1
    assert "a LoKr: cannot be loaded by diffusers. Give --layout lora" in outcome.err
    assert "comfyui and kohya" in outcome.err
    assert not list(tmp_path.iterdir())
    for layout, ending in (("lora", ".lora_A.weight"), ("comfyui", ".lokr_w1"), ("delta", ".diff")):
        outcome = made.director(*words("lokr", out, "--layout", layout))
        assert outcome.code == 0, outcome.err
        assert any(name.endswith(ending) for name in told(out)["names"])


@pytest.mark.parametrize("layout", ["diffusers", "kohya", "comfyui", "delta"])
def test_a_rank_is_of_layout_lora_alone(made: TinyProject, tmp_path: Path, layout: str) -> None:
    outcome = made.director(*words("lora", tmp_path / "out.safetensors", "--layout", layout, "--rank", "4"))
    assert outcome.code == 1
    assert f"--rank: is of layout lora, not of {layout}" in outcome.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("missing/out.safetensors", "cannot be written: No such file or directory. Give another --out"),
        ("file/out.safetensors", "cannot be written: Not a directory. Give another --out"),
        ("folder.safetensors", "folder.safetensors: cannot be written: it is a folder"),
        ("out.bin", "is no name of an adapter's file"),
    ],
)
def test_a_file_that_cannot_be_written_is_told(made: TinyProject, tmp_path: Path, out: str, message: str) -> None:
    (tmp_path / "folder.safetensors").mkdir()
    (tmp_path / "file").touch()
    outcome = made.director(*words("lora", tmp_path / out, "--layout", "kohya"))
    assert outcome.code == 1
    assert len(outcome.err.splitlines()) == 1
    assert message in outcome.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.safetensors"]


@pytest.mark.parametrize("layout", ["diffusers", "comfyui"])
def test_a_disk_that_runs_full_leaves_what_was_there(
    made: TinyProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    def full(*arguments: object, **options: object) -> None:
        path = arguments[-1] if layout == "diffusers" else arguments[0]
        Path(str(path)).write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if layout == "diffusers":
        monkeypatch.setattr(shutil, "copyfile", full)
    else:
        monkeypatch.setattr("director_diffusion.adapters.export.write_adapter_file", full)
    out = tmp_path / "out.safetensors"
    out.write_bytes(b"before")
    outcome = made.director(*words("lora", out, "--layout", layout))
    assert outcome.code == 1
    assert "out.safetensors: cannot be written: No space left on device" in outcome.err
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"before"]


def test_what_an_adapter_is_stands_in_its_file_not_in_todays_recipe(project: TinyProject, tmp_path: Path) -> None:
    """The recipe's DoRA is a plain LoRA today, and of a base of another family."""
    change(project.configs, "recipes/dora", adapter=SPECS["lora"].model_dump(mode="json"), base="mini_sd15")
    out = tmp_path / "out.safetensors"
    outcome = project.director(*words("dora", out, "--layout", "comfyui"))
    assert outcome.code == 0, outcome.err
    names = told(out)["names"]
    assert all(name.startswith("transformer.") for name in names), "Flux's"
    assert any(name.endswith(".dora_scale") for name in names)


def test_magnitudes_are_told_against_no_other_base(project: TinyProject, tmp_path: Path) -> None:
    other = project.folder / "other"
    shutil.copytree(project.folder / "models" / "mini" / "base", other)
    (other / "README.md").write_text("changed")
    change(project.configs, "bases/mini", source={"kind": "folder", "folder": str(other)})
    config = other / "transformer" / "config.json"
    config.write_text(config.read_text() + "\n")
    out = tmp_path / "out.safetensors"
    outcome = project.director(*words("dora", out, "--layout", "comfyui"))
    assert outcome.code == 1
    assert "base mini: is another than this adapter's DoRA was trained on" in outcome.err
    assert project.director(*words("dora", out, "--layout", "kohya")).code == 0, "which needs no base"


def test_a_base_that_is_gone_is_named(project: TinyProject, tmp_path: Path) -> None:
    change(project.configs, "recipes/lora", base="mini_sd15")
    for other in ("lokr", "dora"):
        change(project.configs, f"recipes/{other}", base="mini_sd15")
    (project.configs / "bases" / "mini.yaml").rename(project.configs / "bases" / "small.yaml")
    for path in (project.configs / "recipes").glob("*.yaml"):
        if read(project.configs, f"recipes/{path.stem}")["base"] == "mini":
            change(project.configs, f"recipes/{path.stem}", base="small")
    outcome = project.director(*words("lora", tmp_path / "out.safetensors", "--layout", "comfyui"))
    assert outcome.code == 1
    assert "mini: is no base any more, and this adapter was trained on it" in outcome.err
