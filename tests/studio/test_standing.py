"""The tab Leaderboard's table: the newest one of the store, sorted and chosen from as asked, with nothing unescaped."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from director_diffusion.errors import OrderError
from director_diffusion.leaderboard.rows import Entry, write_leaderboard
from director_diffusion.storage import Manifest, Store
from director_diffusion.storage.artifact import describe_files, set_latest, write_artifact
from director_diffusion.studio.standing import ALL, ORDERS, SUREST, shown

ENTRIES = [
    Entry("mini_lora", "mini", "nolan", "adapter", verdict="pass", tier="release", style=0.05, style_low=0.04,
          style_high=0.06, size_bytes=2_000_000, training_seconds=9.0, images_per_second=1.0,
          reasons=("pass: <b>style</b>",)),
    Entry("mini_dora", "mini", "fincher", "turbo_4", size_bytes=1_000_000, training_seconds=3.0, images_per_second=2.0,
          notes=("not judged yet",)),
]  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store, out = Store(str(tmp_path / "store")), tmp_path / "out"
    out.mkdir()
    write_leaderboard(ENTRIES, out)
    made = datetime(2026, 11, 22, 9, 30, tzinfo=UTC).isoformat(timespec="microseconds")
    manifest = Manifest(asset=("leaderboard",), partition=None, key="k", plain_key="k", version="v",
                        files=describe_files(out), code_version="c", seconds=0.0, made=made)  # fmt: skip
    set_latest(write_artifact(store, out, manifest))
    return store


def place(page: str, *words: str) -> list[int]:
    return [page.index(word) for word in words]


def test_the_table_is_sorted_and_chosen_from_as_asked(store: Store) -> None:
    page = shown(store, SUREST, ALL, ALL)
    assert place(page, "nolan", "fincher") == sorted(place(page, "nolan", "fincher"))
    assert "+0.050 [+0.040, +0.060]" in re.sub("<[^>]*>", "", page)
    assert "Set side by side 2026-11-22 09:30 UTC" in page
    assert "<li>pass: &lt;b&gt;style&lt;/b&gt;</li>" in page
    assert "fincher" not in shown(store, SUREST, "nolan", ALL)
    assert "nolan" not in shown(store, SUREST, ALL, "mini_dora")


@pytest.mark.parametrize("order", ORDERS)
def test_each_column_has_its_best_first_and_what_it_does_not_know_last(store: Store, order: str) -> None:
    fincher_first = ("director", "recipe", "size", "training", "images a second")
    first, second = ("fincher", "nolan") if order in fincher_first else ("nolan", "fincher")
    page = shown(store, order, ALL, ALL)
    assert 0 < page.index(first) < page.index(second)


def test_what_is_not_on_offer_is_refused_and_nothing_yet_is_said(store: Store, tmp_path: Path) -> None:
    for order in ("../etc", 7, None, ["size"], "x" * 100_000):
        with pytest.raises(OrderError, match="is none of those on offer"):
            shown(store, order, ALL, ALL)
    for director in ({"a": 1}, None, "<script>", "\x00" * 1000):
        page = shown(store, SUREST, director, ALL)
        assert "nolan" not in page
        assert "script" not in page
    assert "There is no leaderboard yet" in shown(Store(str(tmp_path / "empty")), SUREST, ALL, ALL)
