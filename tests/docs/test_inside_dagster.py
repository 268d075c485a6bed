"""CONTRIBUTING.md lists every module that uses what Dagster does not promise to keep, and what to look at there."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from pipelines.surroundings import CHECKOUT

SHIPPED = ("director_diffusion", "resources", "assets_defs", "pipelines", "docs")
BESIDES = {
    "assets_defs/freshness.py",  # what is a preview
    "pipelines/executors/on_kubernetes.py",  # modules of dagster-k8s that are none of its API
    "pipelines/ui_reload.py",  # a private call
}
ROW = re.compile(r"^\| (`[^|]+\.py`) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
NAME = re.compile(r"`([^`]+\.py)`")


def rows() -> list[tuple[list[str], list[str]]]:
    """The modules of each row, and the tests and benchmarks that it names."""
    page = (CHECKOUT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    _, _, section = page.partition("## Raise Dagster's version\n")
    found = ROW.findall(section.partition("\n## ")[0])
    return [(NAME.findall(modules), NAME.findall(looks)) for modules, _, looks in found]


def is_inside(name: str) -> bool:
    """Of `dagster` and its companions, any part that begins with an underscore."""
    first, *rest = name.split(".")
    return first.startswith("dagster") and any(part.startswith("_") for part in rest)


def imported(path: Path) -> Iterator[str]:
    """What a module imports of the inside, also where its functions do."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from filter(is_inside, (f"{node.module}.{one.name}" for one in node.names))
        elif isinstance(node, ast.Import):
            yield from filter(is_inside, (one.name for one in node.names))


@pytest.fixture(scope="module")
def inside() -> dict[str, list[str]]:
    files = (path for folder in SHIPPED for path in (CHECKOUT / folder).rglob("*.py"))
    found = {path.relative_to(CHECKOUT).as_posix(): list(imported(path)) for path in files}
    return {module: names for module, names in found.items() if names}


def test_every_module_that_uses_the_inside_of_dagster_is_listed_and_no_other(inside: dict[str, list[str]]) -> None:
    listed = [module for modules, _ in rows() for module in modules]
    assert sorted(listed) == sorted({*inside, *BESIDES})


def test_what_dagster_offers_is_taken_from_there(inside: dict[str, list[str]]) -> None:
    assert not [
        (module, name) for module, names in inside.items() for name in names if hasattr(dg, name.split(".")[-1])
    ]


def test_what_is_to_be_looked_at_is_there() -> None:
    for modules, looks in rows():
        assert looks, f"nothing shows that {modules} are right"
        for name in looks:
            assert (CHECKOUT / name).is_file(), f"{modules}: {name}"
