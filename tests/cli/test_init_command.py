"""`director init`: a repository that works beside an installed director-diffusion, from the wheel as it is built."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
import yaml

from director_diffusion.catalog import load_catalog
from pipelines.cli.main import main
from pipelines.surroundings import CHECKOUT, read_surroundings

SOURCES = ("director_diffusion", "assets_defs", "resources", "pipelines", "configs", "models")
BUILD = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
FILES = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "workspace.yaml")


def test_the_repository_is_whole_and_needs_no_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own"
    assert main(["init", str(own)]) == 0
    catalog = load_catalog(own / "configs")
    assert (set(catalog.projects), set(catalog.deployments), set(catalog.directors)) == (
        {"demo"},
        {"local"},
        {"anderson"},
    )
    (own / "stills" / "varda").mkdir(parents=True)
    monkeypatch.chdir(own / "stills" / "varda")
    surroundings = read_surroundings({})
    assert surroundings.catalog.folder == own / "configs"
    assert surroundings.store_url == str(own / ".director" / "store")
    assert str(own) not in (own / "configs" / "projects" / "demo.yaml").read_text()
    for path in sorted((CHECKOUT / "models" / "mini").rglob("*")):
        assert (own / path.relative_to(CHECKOUT)).exists()
    assert {path.stem for path in (own / "configs" / "dagster").iterdir()} == {"sqlite", "postgres", "ray"}
    page = (own / "README.md").read_text()
    assert "docs/own_repository.md" in page  # the one copy of how
    assert "pip install" not in page  # it is not published
    assert yaml.safe_load((own / "workspace.yaml").read_text())


def test_another_project_and_deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own"
    assert main(["init", str(own), "--project", "krea", "--deployment", "gpu"]) == 0
    monkeypatch.chdir(own)
    surroundings = read_surroundings({})
    assert (surroundings.project.slug, surroundings.deployment.slug) == ("krea", "gpu")
    assert not (own / "models").exists(), "krea uses none of the shipped models"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["full"], "it is there already"),
        (["new", "--project", "nope"], "nope.yaml"),
        (["new", "--deployment", "nope"], "nope.yaml"),
        (["nowhere/new"], "No such file"),
    ],
)
def test_nothing_is_written_where_something_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    assert main(["init", str(tmp_path / words[0]), *words[1:]]) == 1
    assert told in capsys.readouterr().err
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["full", "full/mine.txt"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a fresh environment with the wheel, and this environment's other packages behind it."""
    folder = tmp_path_factory.mktemp("installed")
    source, wheels, venv = folder / "source", folder / "wheels", folder / "venv"
    source.mkdir()
    wheels.mkdir()
    for name in SOURCES:
        shutil.copytree(CHECKOUT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copyfile(CHECKOUT / name, source / name)
    subprocess.run([sys.executable, "-c", BUILD, str(wheels)], cwd=source, check=True, capture_output=True, timeout=120)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True, timeout=60)
    site = next(venv.glob("lib/python3*/site-packages"))
    with zipfile.ZipFile(next(wheels.glob("*.whl"))) as wheel:
        wheel.extractall(site)
    # A path in a .pth file brings packages, not that folder's own .pth files: the editable checkout stays out.
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return venv / "bin" / "python"


def test_the_wheel_works_beside_a_repository_of_ones_own(installed: Path, tmp_path: Path) -> None:
    environment = {"PATH": os.defpath, "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}

    def run(*words: str, at: Path) -> str:
        result = subprocess.run(
            [str(installed), "-m", *words], cwd=at, env=environment, capture_output=True, text=True, timeout=300
        )
        assert result.returncode == 0, (result.stdout + result.stderr)[-4000:]
        return result.stdout + result.stderr

    own = tmp_path / "own"
    nowhere = subprocess.run(
        [str(installed), "-m", "pipelines.cli.main", "add", "varda", "--stills", "."],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert nowhere.returncode == 1
    assert "configs/: is neither in" in nowhere.stderr
    assert "director init" in nowhere.stderr
    run("pipelines.cli.main", "init", str(own), at=tmp_path)
    (own / "definitions.py").write_text(
        (own / "definitions.py").read_text()
        + "import assets_defs, director_diffusion, pipelines, resources\n"
        + "for package in (assets_defs, director_diffusion, pipelines, resources):\n"
        + f"    assert package.__file__.startswith({str(installed.parents[1])!r}), package.__file__\n"
    )
    said = run("dagster", "definitions", "validate", "-w", "workspace.yaml", at=own)
    assert "Validation successful for code location director-diffusion" in said
    stills = tmp_path / "stills" / "film"
    stills.mkdir(parents=True)
    (stills / "one.jpg").touch()
    assert "Wrote" in run("pipelines.cli.main", "add", "varda", "--stills", str(stills.parent), at=own / "configs")
    assert (own / "configs" / "directors" / "varda.yaml").is_file()
    assert (own / ".director" / "store" / "stills" / "varda" / "film" / "one.jpg").is_file()
