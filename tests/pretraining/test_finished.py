"""Finished parts: found again whole, or made again."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from director_diffusion.pretraining.finished import FinishedPart, find_part, grid_name, keep_part
from director_diffusion.storage import Store


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store") if request.param == "local" else f"memory://{tmp_path.name}")


@pytest.fixture
def part(store: Store, tmp_path: Path) -> FinishedPart:
    files, grids = tmp_path / "files", tmp_path / "grids"
    (files / "deep").mkdir(parents=True)
    grids.mkdir()
    save_file({"a": np.zeros((2, 3), np.float16), "b": np.zeros(4, np.float16)}, files / "deep" / "w.safetensors")
    (files / "config.json").write_text("{}")
    for step in (100, 200, 300, 400, 500):
        Image.new("RGB", (2, 2), (step // 2, 0, 0)).save(grids / grid_name(step))
    return keep_part(
        store, "vae", "abc", files=files, grids=grids, steps=500, seconds=1.26, device="cpu", packages={"torch": "2"}
    )


def test_a_part_is_found_again_with_its_facts(store: Store, part: FinishedPart, tmp_path: Path) -> None:
    found = find_part(store, "vae", "abc")
    assert found is not None
    assert found.record == part.record
    assert {**found.record.facts, "MB": 0} == {"parameters": 10, "MB": 0, "steps": 500, "seconds": 1.3}
    folder = found.local_folder(tmp_path / "copy")
    assert sorted(path.name for path in folder.rglob("*") if path.is_file()) == ["config.json", "w.safetensors"]
    assert find_part(store, "vae", "another") is None
    assert find_part(store, "captioner", "abc") is None


def test_grids_are_spread_over_the_training_and_end_with_the_last(part: FinishedPart) -> None:
    assert [step for step, _ in part.grids(3)] == [100, 300, 500]
    assert [step for step, _ in part.grids(1)] == [500]
    assert [step for step, _ in part.grids(9)] == [100, 200, 300, 400, 500]
    assert [image.getpixel((0, 0)) for _, image in part.grids(2)] == [(50, 0, 0), (250, 0, 0)]


def test_a_part_that_another_maker_put_there_stays(store: Store, part: FinishedPart, tmp_path: Path) -> None:
    numbers = {"steps": 1, "seconds": 9.0, "device": "cuda", "packages": {}}
    again = keep_part(store, "vae", "abc", files=tmp_path / "files", grids=tmp_path / "grids", **numbers)
    assert again.record == part.record


@pytest.mark.parametrize("lost", ["files/config.json", "grids/0000300.png", "part.json"])
def test_a_part_that_lost_a_file_is_none(store: Store, part: FinishedPart, lost: str) -> None:
    store.delete(f"{part.folder}/{lost}")
    assert find_part(store, "vae", "abc") is None
