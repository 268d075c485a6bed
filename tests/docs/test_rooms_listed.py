"""The list of rooms is what their docstrings say, and each says what belongs there and what does not."""

import ast
from pathlib import Path

import pytest

from docs.list_rooms import LIBRARY, MARKS, listed, said
from docs.marked import PAGE, Marks


def test_the_list_on_the_page_is_up_to_date() -> None:
    page, rooms = PAGE.read_text(encoding="utf-8"), listed()
    assert MARKS.filled(page, rooms) == page, "write it again: python -m docs.list_rooms"
    assert "| `stills/` | from a director's folder to upright pictures," in rooms
    assert "| `hashing.py` | of plain data, of files and of folders |" in rooms


@pytest.mark.parametrize("room", sorted(LIBRARY.glob("*/__init__.py")), ids=lambda room: room.parent.name)
def test_a_room_says_what_belongs_there_and_what_does_not(room: Path) -> None:
    _, _, rest = (ast.get_docstring(ast.parse(room.read_text(encoding="utf-8"))) or "").partition("Belongs here: ")
    assert len(" ".join(rest.split()).split(". ")) >= 2, f"{room}: what does not belong here, and where it does?"


def test_a_docstring_is_told_by_its_first_sentence_without_its_name() -> None:
    assert said('"""Stills: of 2.5 films, by\nname.  More.\n\nBelongs here: all."""') == "of 2.5 films, by name"
    assert said('"""What all specs are made of: the base class.\n"""') == "What all specs are made of: the base class"
    assert said('"""How long work takes."""') == "How long work takes"


def test_a_page_without_the_marks_is_refused() -> None:
    marks = Marks("<!-- a -->", "<!-- end of a -->")
    assert marks.filled("1<!-- a -->old<!-- end of a -->2", "new\n") == "1<!-- a -->\nnew\n<!-- end of a -->2"
    with pytest.raises(ValueError, match="lacks"):
        marks.filled("a page", "new\n")
