"""Canary: a fixed adapter's pictures, drawn again when something else may draw them, and what they tell."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from PIL import ImageOps

from director_diffusion.families.flux.drawing import FluxPainter
from director_diffusion.progress import Silent
from director_diffusion.retention.collect import plan_collection
from director_diffusion.retention.collection import Policy
from director_diffusion.sampling.canary import FIRST, Canary, sing
from director_diffusion.storage import Store
from tests.sampling.test_draw_samples import BASE, plan


@pytest.fixture
def drawn(monkeypatch):
    """Every prompt that a painter was asked for; `drawn.otherwise` makes it draw negatives."""

    class Drawn(list):
        otherwise = False

    asked, draw = Drawn(), FluxPainter.draw

    def recorded(self, prompts, seeds, **settings):
        asked.extend(prompts)
        pictures = draw(self, prompts, seeds, **settings)
        return [ImageOps.invert(one) for one in pictures] if asked.otherwise else pictures

    monkeypatch.setattr(FluxPainter, "draw", recorded)
    return asked


@pytest.fixture
def song(mini_base, tmp_path):
    store = Store(str(tmp_path / "store"))
    (tmp_path / "out").mkdir()

    def run(fresh=""):
        settings = {"base_fingerprint": "mini", "store": store, "device": "cpu", "progress": Silent()}
        found, pictures = sing(plan(), BASE, lambda: mini_base, fresh=fresh, out=tmp_path / "out", **settings)
        assert Canary.read((tmp_path / "out" / "canary.json").read_bytes()) == found
        assert len(pictures) == found.pictures == 4
        return found

    return run


def test_it_notes_where_its_first_pictures_are_so_that_they_stay(song, drawn, tmp_path):
    song()
    store = Store(str(tmp_path / "store"))
    (folder,) = store.names("cache/canary")
    (note,) = [name for name in store.names(f"cache/canary/{folder}") if name.startswith(FIRST)]
    first = json.loads(store.read(f"cache/canary/{folder}/{note}"))["folder"]
    song(fresh="monday")
    assert len(store.names(first)) == 4
    assert len(store.names("cache/canary")) == 1
    names = {f"{first}/{name}" for name in store.names(first)}
    went = plan_collection(store, Policy(1, 1), datetime.now(UTC) + timedelta(days=9)).removals
    assert [one.what for one in went if one.kind == "item"] == [
        "images"
    ] * 8  # those of labels: they are drawn again where they are wanted
    assert not names & {one.name for one in went}


def test_it_is_drawn_once_by_what_draws_and_under_each_label(song, drawn):
    assert song().changed == 0
    assert song().changed == 0
    assert len(drawn) == 4
    assert song(fresh="monday").changed == 0
    assert len(drawn) == 8
    song(fresh="monday")
    assert len(drawn) == 8


def test_it_sings_when_a_library_is_another_without_any_label(song, drawn, monkeypatch):
    song()
    monkeypatch.setattr("director_diffusion.sampling.canary.drawn_by", lambda device: f"{device} torch 99")
    drawn.clear()
    assert not song().drifted
    assert len(drawn) == 4, "drawn by what draws now"
    drawn.otherwise = True
    monkeypatch.setattr("director_diffusion.sampling.canary.drawn_by", lambda device: f"{device} torch 100")
    found = song()
    assert (found.changed, found.drifted) == (4, True)
    assert "code or drivers draw otherwise now" in found.words


def test_a_drift_under_a_label_is_told_against_the_first_pictures(song, drawn):
    song()
    drawn.otherwise = True
    assert song(fresh="monday").drifted
    assert song(fresh="tuesday").drifted, "the first pictures stay"
