"""What docs/troubleshooting.md quotes is what the code says."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.surroundings import CHECKOUT

PAGE = CHECKOUT / "docs" / "troubleshooting.md"
PACKAGES = ("director_diffusion", "resources", "assets_defs", "pipelines")


def texts(path: Path) -> Iterator[str]:
    """Every string that stands in a module, with … where a value goes in; docstrings are not said to anybody."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node.value


def section(page: str, title: str) -> list[list[str]]:
    """The cells of the table below a heading, without its own heading."""
    body = page.split(f"## {title}\n")[1].split("\n## ")[0]
    rows = [line for line in body.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


@pytest.fixture(scope="module")
def said() -> str:
    modules = [path for package in PACKAGES for path in sorted((CHECKOUT / package).rglob("*.py"))]
    return "\n".join(text for path in modules for text in texts(path))


def test_every_quoted_error_is_in_the_code(said: str) -> None:
    rows = section(PAGE.read_text(encoding="utf-8"), "Errors")
    assert len(rows) > 30
    quoted = [quote for row in rows for quote in re.findall(r"`([^`]+)`", row[0])]
    assert len(quoted) >= len(rows)
    unsaid = [quote for quote in quoted if quote.removesuffix("…").strip() not in said]
    assert not unsaid


def test_every_row_says_why_and_what_to_do() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for title in ("Errors", "What Dagster shows", "What comes out"):
        for row in section(page, title):
            assert len(row) == 3, row
            assert all(row), row
