"""Real photographs and real frame grabs, where they are at hand."""

from pathlib import Path

import pytest

from director_diffusion.progress import Silent
from director_diffusion.specs import StillsRules
from director_diffusion.stills.checks import judge
from director_diffusion.stills.ingest import ingest_stills
from director_diffusion.stills.raw import list_raw_files
from director_diffusion.stills.still_set import StillSet
from director_diffusion.storage import Store

DATA = Path(__file__).parents[3] / "shared" / "data"

pytestmark = pytest.mark.skipif(not (DATA / "stills").is_dir(), reason="../shared/data/stills is not on this machine")


def ingest(director: str, out: Path) -> StillSet:
    store = Store(str(DATA))
    return ingest_stills(store, list_raw_files(store, director), StillsRules(), out, Silent())


@pytest.mark.parametrize(("director", "files"), [("dogs", 32), ("toys", 23)])
def test_photographs_are_usable(director: str, files: int, tmp_path: Path) -> None:
    still_set = ingest(director, tmp_path)
    assert len(still_set.kept) == files
    assert all(outcome.passed for outcome in judge(still_set, StillsRules()))
    untrained = [*still_set.validation, *still_set.held_out]
    assert {still.film for still in untrained}.isdisjoint(still.film for still in still_set.train)
    assert 0.1 <= len(untrained) / files <= 0.3
    assert len(still_set.held_out) > len(still_set.validation) >= 1
    assert all(still.reference and not still.crop for still in still_set.kept)


def test_ten_frames_of_one_shot_are_refused(tmp_path: Path) -> None:
    still_set = ingest("sintel", tmp_path)
    assert len(still_set.kept) <= 2
    enough = judge(still_set, StillsRules())[0]
    assert not enough.passed
    assert "at least 12 are needed" in enough.description
