"""Placeholders: what fills an empty store, and what is left alone."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from director_diffusion.hashing import hash_folder
from director_diffusion.progress import Silent
from director_diffusion.scenes import placeholders
from director_diffusion.scenes.placeholders import fill_placeholder_stills
from director_diffusion.scenes.scene import Scene
from director_diffusion.specs import PlaceholderStills, StillsRules
from director_diffusion.stills.ingest import ingest_stills
from director_diffusion.stills.raw import list_raw_files, list_written_captions
from director_diffusion.storage import Store

SPEC = PlaceholderStills(per_director=12, captioned_share=0.5)


def test_fills_an_empty_store_the_same_way_every_time(tmp_path: Path) -> None:
    for name in ("one", "other"):
        assert fill_placeholder_stills(Store(str(tmp_path / name)), ["nolan", "unheard_of"], SPEC, Silent()) == 24
    assert hash_folder(tmp_path / "one") == hash_folder(tmp_path / "other")
    again = PlaceholderStills(per_director=12, seed=1)
    fill_placeholder_stills(Store(str(tmp_path / "seed")), ["nolan"], again, Silent())
    still = "stills/nolan/placeholder_film_1/still_01.jpg"
    assert (tmp_path / "seed" / still).read_bytes() != (tmp_path / "one" / still).read_bytes()


def test_films_are_letterboxed_and_half_captioned(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    fill_placeholder_stills(store, ["anderson"], SPEC, Silent())
    raw = list_raw_files(store, "anderson")
    assert Counter(file.film for file in raw) == {f"placeholder_film_{film}": 3 for film in (1, 2, 3, 4)}
    captions = list_written_captions(store, "anderson")
    assert len(captions) == 6
    assert len({caption.film for caption in captions}) == 4
    for film, (width, height) in enumerate(placeholders.PICTURES, start=1):
        frame = Image.open(tmp_path / f"stills/anderson/placeholder_film_{film}/still_01.jpg")
        assert (frame.format, frame.size) == ("JPEG", placeholders.FRAME)
        lit = np.asarray(frame.convert("L")) > 32
        assert abs(lit.any(axis=1).sum() - height) <= 4
        assert abs(lit.any(axis=0).sum() - width) <= 4


def test_no_still_is_a_near_duplicate_of_another(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    directors = ["anderson", "fincher"]  # the most alike among themselves, and the darkest
    fill_placeholder_stills(store, directors, PlaceholderStills(), Silent())
    for director in directors:
        out = tmp_path / director
        out.mkdir()
        still_set = ingest_stills(store, list_raw_files(store, director), StillsRules(), out, Silent())
        assert (len(still_set.kept), len(still_set.rejected)) == (36, 0)


def test_a_persons_stills_are_left_alone(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write("stills/nolan/a film/1.jpg", b"mine")
    assert fill_placeholder_stills(store, ["nolan", "fincher"], SPEC, Silent()) == 0
    assert store.names("stills") == ["nolan"]


def test_deleted_placeholders_do_not_come_back(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    fill_placeholder_stills(store, ["nolan"], SPEC, Silent())
    store.delete("stills/nolan")
    assert fill_placeholder_stills(store, ["nolan"], SPEC, Silent()) == 0


def test_filling_goes_on_where_it_was_cut_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, cut = Store(str(tmp_path / "whole")), Store(str(tmp_path / "cut"))
    fill_placeholder_stills(whole, ["nolan"], SPEC, Silent())
    drawn: list[Scene] = []

    def draw_five(scene: Scene, *rest: object) -> Image.Image:
        if len(drawn) == 5:
            raise KeyboardInterrupt
        drawn.append(scene)
        return _draw(scene, *rest)

    _draw = placeholders.draw
    monkeypatch.setattr(placeholders, "draw", draw_five)
    with pytest.raises(KeyboardInterrupt):
        fill_placeholder_stills(cut, ["nolan"], SPEC, Silent())
    monkeypatch.undo()
    # Who was added in between brought stills of their own.
    assert fill_placeholder_stills(cut, ["nolan", "varda"], SPEC, Silent()) == 12 - 5
    assert cut.names("stills") == ["nolan"]
    assert hash_folder(tmp_path / "whole") == hash_folder(tmp_path / "cut")


def test_drawing_needs_no_torch() -> None:
    code = "import sys, director_diffusion.scenes.placeholders; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
