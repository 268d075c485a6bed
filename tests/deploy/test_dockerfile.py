"""The Dockerfile, read against what it copies, what it calls and what the rest of the project says of it."""

import re
import shlex
import subprocess
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet
from packaging.version import Version
from setuptools import find_packages

from pipelines.surroundings import CHECKOUT
from tests.deploy.dockerfile import Stage, let_in, stages

IGNORE = (CHECKOUT / ".dockerignore").read_text(encoding="utf-8")
SECRET = re.compile(r"(^|/)(\.env|.*\.(key|pem)|votes\.key|studio_users|id_[a-z0-9]+|\.netrc|\.pgpass)$")


@pytest.fixture(scope="module")
def image() -> list[Stage]:
    return stages((CHECKOUT / "Dockerfile").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def project() -> dict[str, object]:
    with (CHECKOUT / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    told = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=CHECKOUT, capture_output=True, text=True
    )
    if told.returncode:
        pytest.skip("this is no checkout")
    return told.stdout.splitlines()


def copied(stage: Stage, tracked: list[str]) -> set[str]:
    sources = [source.rstrip("/") for copy in stage.copies if not copy.of for source in copy.sources]
    return {
        name
        for name in tracked
        for source in sources
        if (name == source or name.startswith(f"{source}/")) and let_in(name, IGNORE)
    }


def test_all_that_is_copied_is_there_and_let_in(image: list[Stage], tracked: list[str]) -> None:
    for stage in image:
        for copy in stage.copies:
            if copy.of:
                assert copy.of in {one.name for one in image}
                continue
            for source in copy.sources:
                below = [name for name in tracked if name == source or name.startswith(f"{source}/")]
                assert below, f"{source} is in no commit"
                assert any(let_in(name, IGNORE) for name in below), f".dockerignore keeps {source} out"


def test_the_wheel_gets_all_that_its_build_reads(
    image: list[Stage], project: dict[str, dict[str, object]], tracked: list[str]
) -> None:
    there = copied(image[0], tracked)
    assert {"pyproject.toml", "setup.py", "MANIFEST.in", project["project"]["readme"]} <= there
    wanted: list[str] = re.findall(r'"((?:configs|models|workspace)[^"]*)"', (CHECKOUT / "setup.py").read_text())
    wanted += [line.split()[1] for line in (CHECKOUT / "MANIFEST.in").read_text().splitlines() if line[0] != "#"]
    for name in wanted:
        whole = {one for one in tracked if one == name or one.startswith(f"{name}/")}
        assert whole, f"{name} is in no commit"
        assert whole <= there, f"of {name} not all is copied"
    packages = find_packages(str(CHECKOUT), include=project["tool"]["setuptools"]["packages"]["find"]["include"])  # type: ignore[index]
    modules = {
        name for name in tracked if name.endswith(".py") and str(Path(name).parent).replace("/", ".") in packages
    }
    assert len(modules) > 300
    assert modules <= there
    assert {name for name in tracked if "/studio/vote/page/" in name} <= there


def test_what_runs_needs_stands_beside_it(image: list[Stage], tracked: list[str]) -> None:
    there, last = copied(image[-1], tracked), image[-1]
    for part in ("configs/", "models/mini/", "workspace.yaml"):
        assert {name for name in tracked if name.startswith(part)} <= there, part
    assert not {name for name in there if name.endswith(".py")}, "the package is in the environment, once"
    home = last.volumes[0]
    for name in ("DAGSTER_HOME", "DIRECTOR_STORE", "DIRECTOR_DEVICES", "XDG_CACHE_HOME"):
        assert last.env[name].startswith(f"{home}/"), f"{name} would not outlive a container"
    owner = last.user.split(":")[0]
    assert owner.isdigit(), "Kubernetes tells a user that is not root by its number"
    assert int(owner) > 0
    assert any("install -d" in run and home in run and f"-o {owner}" in run for run in last.runs)


def test_nothing_secret_cached_or_made_gets_in(tracked: list[str]) -> None:
    inside = [name for name in tracked if let_in(name, IGNORE)]
    assert not [name for name in inside if SECRET.search(name)]
    assert {name.split("/")[0] for name in inside}.isdisjoint({"tests", "docs", "benchmarks", "deploy", ".git", ".ci"})
    for name in (
        ".venv/bin/python",
        ".director/store/x",
        ".git/config",
        "deploy/.env",
        "configs/.env",
        "configs/.env.local",
        "pipelines/__pycache__/x.cpython-311.pyc",
        "director_diffusion/specs/x.pyc",
        "pipelines/shipped/configs/projects/demo.yaml",
        "models/other/weights.safetensors",
        "configs/votes.key",
        "data/mnist/x",
    ):
        assert not let_in(name, IGNORE), name


def test_what_it_calls_is_installed(image: list[Stage], project: dict[str, dict[str, dict[str, str]]]) -> None:
    scripts = {one.name for one in entry_points(group="console_scripts")}
    assert image[-1].entrypoint == ["tini", "--"], "Kubernetes and Ray give commands of their own as its arguments"
    assert any(re.search(r"apt-get install [^&]*\btini\b", run) for run in image[-1].runs)
    assert image[-1].command[0] in scripts | set(project["project"]["scripts"])
    assert image[-1].command[3:5] == ["-m", project["tool"]["dg"]["project"]["code_location_target_module"]]  # type: ignore[index]
    environment = image[0].runs[1].split()[-1]
    assert image[-1].env["PATH"].startswith(f"{environment}/bin:")
    assert [(copy.of, copy.sources, copy.target) for copy in image[-1].copies if copy.of] == [
        (image[0].name, (environment,), environment)
    ]


def test_packages_come_from_the_lock_by_their_hashes(image: list[Stage], project: dict[str, object]) -> None:
    installs = [run for run in image[0].runs if "uv pip install" in run]
    for run in installs:
        assert "--require-hashes" in run or ("--no-deps" in run and run.endswith(" .")), run
    lock = (CHECKOUT / "requirements.lock").read_text(encoding="utf-8")
    locked = set(re.findall(r"^([a-z0-9][a-z0-9._-]*)==", lock, re.MULTILINE))
    assert {"dagster-k8s", "dagster-ray", "ray", "s3fs", "dagster-postgres", "psycopg2-binary", "uvicorn"} <= locked
    assert "bitsandbytes" not in locked
    assert "bitsandbytes==" in (CHECKOUT / "requirements-quantised.lock").read_text(encoding="utf-8")


def test_its_python_is_one_that_the_project_takes(image: list[Stage], project: dict[str, dict[str, str]]) -> None:
    versions = {match[1] for stage in image if (match := re.fullmatch(r"python:(\d+\.\d+)-slim-[a-z]+", stage.image))}
    assert len(versions) == 1, "all stages are of one Python"
    (version,) = versions
    assert Version(version) in SpecifierSet(project["project"]["requires-python"])
    assert any(f"--python python{version} " in run for run in image[0].runs), "uv takes that one"


def test_ports_are_those_of_the_makefile_and_the_docs(image: list[Stage]) -> None:
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    own = (CHECKOUT / "docs" / "own_repository.md").read_text(encoding="utf-8")
    told = {
        int(re.search(r"^dev:.*127\.0\.0\.1:(\d+)", makefile, re.MULTILINE)[1]),  # type: ignore[index]
        int(re.search(r"^app:.*127\.0\.0\.1:(\d+)", makefile, re.MULTILINE)[1]),  # type: ignore[index]
        int(re.search(r"api grpc .*--port (\d+)", own)[1]),  # type: ignore[index]
    }
    assert set(image[-1].ports) == told
    assert int(image[-1].command[image[-1].command.index("--port") + 1]) in told


def test_arguments_are_declared_and_quoted(image: list[Stage]) -> None:
    for stage in image:
        for run in stage.runs:
            shlex.split(run)
            for name in re.findall(r"\$(\w+)", run):
                assert name in stage.args | stage.env, name


@pytest.mark.parametrize(
    ("name", "ignore", "expected"),
    [
        ("a/b.py", "*\n!a", True),
        ("a/b.py", "*\n!a\n**/*.py", False),
        ("b.py", "**/*.py", False),
        ("a/x/b.key", "*\n!a\n**/*.key", False),
        ("models/mini/x", "*\n!models/mini", True),
        ("models/other", "*\n!models/mini", False),
        ("a/__pycache__/b", "**/__pycache__", False),
        ("ab", "a*", False),
        ("c/ab", "a*", True),
    ],
)
def test_dockerignore_is_read_as_docker_reads_it(name: str, ignore: str, expected: bool) -> None:
    assert let_in(name, ignore) is expected


def test_an_unknown_instruction_is_not_passed_over() -> None:
    with pytest.raises(ValueError, match="ADD"):
        stages("FROM python:3.11-slim\nADD x /x\n")
    with pytest.raises(ValueError, match="RUN"):
        stages("RUN true\n")
