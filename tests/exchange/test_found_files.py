"""Files of other tools' folders: that each gets a name of its own, and none is passed over silently."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from director_diffusion.errors import StillsError
from director_diffusion.exchange.folder import files_below
from director_diffusion.exchange.incoming import Incoming, named_apart
from director_diffusion.exchange.kohya import read_kohya


def names_of(*sources: str) -> list[str]:
    return [one.name for one in named_apart([Incoming(Path(name), name, "film", name, None) for name in sources])]


def test_every_picture_has_a_name_of_its_own_and_keeps_it() -> None:
    assert names_of("a/b.png", "c/d.png") == ["b.png", "d.png"]
    assert names_of("a/b.png", "c/b.png") == ["a-b.png", "c-b.png"]
    assert names_of("a/b.png", "a/b.jpg") == ["a-b-png.png", "a-b-jpg.jpg"]
    alike = ("a/b.png", "a-b.png", "c/b.png")
    names = names_of(*alike)
    assert len({Path(name).stem for name in names}) == 3
    assert names_of(*reversed(alike)) == names[::-1], "whatever comes first"


def test_a_folder_that_may_not_be_listed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("open/1.png", "closed/1.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    listed = os.scandir

    def refused(path: Any) -> Iterator[os.DirEntry[str]]:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(StillsError, match=r"closed: cannot be read \(Permission denied\)"):
        files_below(tmp_path)


def test_a_caption_is_its_files_first_line_as_sd_scripts_reads_it(tmp_path: Path) -> None:
    (tmp_path / "3_house").mkdir()
    (tmp_path / "3_house" / "1.png").touch()
    (tmp_path / "3_house" / "1.txt").write_text("a house\u2028by a lake \nand more", encoding="utf-8")
    (picture,) = read_kohya(tmp_path, film=None).pictures
    assert picture.caption == "a house\u2028by a lake"
