"""Lists the library's rooms between the marks of docs/architecture.md, each by its docstring's first sentence.

    python -m docs.list_rooms

A test says where the list is no longer what the docstrings say.  Belongs here: which rooms there are, and what of a
docstring is shown.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from docs.marked import Marks

LIBRARY = Path(__file__).parents[1] / "director_diffusion"
MARKS = Marks("<!-- rooms: python -m docs.list_rooms -->", "<!-- end of rooms -->")


def listed() -> str:
    """A table of the packages, and one of the modules that lie in none."""
    packages = sorted(path.parent for path in LIBRARY.glob("*/__init__.py"))
    modules = sorted(path for path in LIBRARY.glob("*.py") if path.stem != "__init__")
    lines = [
        *_table("room", ((f"{folder.name}/", folder / "__init__.py") for folder in packages)),
        "",
        *_table("module of no room", ((path.name, path) for path in modules)),
    ]
    return "\n".join(lines) + "\n"


def _table(what: str, rows: Iterator[tuple[str, Path]]) -> Iterator[str]:
    yield f"| {what} | |"
    yield "|---|---|"
    for name, path in rows:
        yield f"| `{name}` | {said(path.read_text(encoding='utf-8'))} |"


def said(source: str) -> str:
    """The first sentence of a module's docstring, without the name that it begins with."""
    docstring = ast.get_docstring(ast.parse(source)) or ""
    first = re.split(r"\.(?:\s|$)", " ".join(docstring.partition("\n\n")[0].split()))[0]
    named = re.fullmatch(r"(?:The )?[\w' -]{1,20}: (.+)", first)
    return (named[1] if named else first).replace("|", "\\|")


if __name__ == "__main__":
    MARKS.write(listed())
