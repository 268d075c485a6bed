"""The leaderboard's stage: it reads manifests too, so it looks whenever it is asked."""

from pathlib import Path

import dagster as dg
import pytest

from assets_defs.leaderboard import LEADERBOARD, leaderboard_asset
from director_diffusion.leaderboard.rows import FILE, Entry, leaderboard_from
from director_diffusion.specs import Recipe
from director_diffusion.storage import Store
from director_diffusion.storage.artifact import latest_artifact
from pipelines.build import build_resources
from pipelines.surroundings import read_surroundings
from tests.leaderboard.test_leaderboard import RECIPE, Director
from tests.small_configs import small_configs, surroundings_of


class Board:
    """The stage over a store that a test fills."""

    def __init__(self, folder: Path):
        small_configs(folder)
        surroundings = read_surroundings(surroundings_of(folder))
        self.store, self.resources = Store(surroundings.store_url), build_resources(surroundings)
        recipe: Recipe = surroundings.catalog.recipes[RECIPE]
        partitions = dg.StaticPartitionsDefinition(["nolan"])
        board = leaderboard_asset(partitions, [recipe])
        self.read = [
            dg.AssetSpec([*key.path], partitions_def=partitions).with_io_manager_key("artifacts")
            for key in board.dependency_keys
        ]
        self.board = board

    def made(self, nolan: Director) -> tuple[Entry, bool]:
        """What it says of nolan's adapter, and whether Dagster was told that it was there already."""
        for one in nolan.found.values():
            self.store.write(f"{one.folder}/artifact.json", one.manifest.model_dump_json().encode())
        result = dg.materialize(
            [self.board, *self.read], selection=[self.board], resources=self.resources, raise_on_error=True
        )
        (event,) = result.get_asset_materialization_events()
        (entry,) = leaderboard_from(latest_artifact(self.store, (LEADERBOARD,), None).json(FILE))
        return entry, event.materialization.metadata["reused"].value is True


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board(tmp_path)


def test_what_stands_in_manifests_alone_is_read_anew(board: Board) -> None:
    nolan = Director(board.store, "nolan")
    nolan.adapter(**{"went on from step": 60})
    nolan.judged(0.05, "pass")
    before, _ = board.made(nolan)
    assert (before.training_seconds, before.images_per_second) == (None, None)
    versions = {name: one.version for name, one in nolan.found.items()}
    nolan.adapter()  # the same weights, made by a training in one go
    nolan.judged(0.05, "pass", **{"images a second, adapter": 3.5})
    assert {name: one.version for name, one in nolan.found.items()} == versions
    entry, reused = board.made(nolan)
    assert (entry.training_seconds, entry.images_per_second, reused) == (14.2, 3.5, False)


def test_where_nothing_changed_it_is_there_already(board: Board) -> None:
    nolan = Director(board.store, "nolan")
    nolan.adapter()
    nolan.judged(0.05, "pass")
    assert [board.made(nolan)[1] for _ in range(2)] == [False, True]
