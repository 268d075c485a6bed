"""Pictures in run metadata: in it, as links to files of the store, or none; also what was made under another rule."""

from pathlib import Path

import dagster as dg
import pytest
from PIL import Image

from director_diffusion.storage import Store
from resources.pictures import INLINE, LINKS, NONE, Pictures, image_markdown
from resources.stage import stage
from resources.stage_run import StageResult, StageRun
from resources.store import StoreResource
from tests.stage_resources import stage_resources

RED = Image.new("RGB", (16, 8), (200, 10, 10))


@stage(partitions=None, group="toy", version="1")
def painted(run: StageRun) -> StageResult:
    """A picture, also while it is made, and one in a table."""
    (run.out / "x.txt").write_text("x")
    run.progress.show(1, "sketch", RED)
    table = f"| still | caption |\n|---|---|\n| {image_markdown(RED, 'a [b] c')} | a house |"
    return run.result(pictures={"sheet": RED, "gallery": table})


def run(folder: Path, pictures: str) -> tuple[dg.ExecuteInProcessResult, dict[str, str]]:
    store = StoreResource(url=str(folder / "store"), pictures=pictures)
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [painted],
            instance=instance,
            resources=stage_resources(folder, store=store),
        )
    (made,) = result.get_asset_materialization_events()
    shown = {name: str(value.value) for name, value in made.materialization.metadata.items()}
    for event in result.all_events:
        if event.is_asset_observation:
            shown |= {
                name: str(one.value) for name, one in event.asset_observation_data.asset_observation.metadata.items()
            }
    return result, shown


def files(folder: Path) -> set[str]:
    return {name for name in Store(str(folder / "store")).sizes("assets") if name.endswith(".jpg")}


def test_links_lead_to_files_of_the_store_and_no_picture_is_in_the_records(tmp_path: Path) -> None:
    _, shown = run(tmp_path, LINKS)
    assert not [text for text in shown.values() if "base64" in text]
    assert "a house" in shown["gallery"], "words stay"
    for name in ("sheet", "gallery", "sketch"):
        path = Path(shown[name].split("`")[1])
        assert path.read_bytes().startswith(b"\xff\xd8"), name
        assert path.is_relative_to(tmp_path / "store" / "assets" / "painted" / "_all")
        assert path.as_uri() in shown[name]


@pytest.mark.parametrize(("mode", "count"), [(LINKS, 1), (NONE, 0)])
def test_what_was_made_with_pictures_is_found_again_without(tmp_path: Path, mode: str, count: int) -> None:
    _, before = run(tmp_path, INLINE)
    assert "base64" in before["sheet"]
    assert "base64" in before["sketch"]
    assert files(tmp_path) == set()
    _, after = run(tmp_path, mode)
    assert after["reused"] == "True"
    assert after["key"] == before["key"]
    assert not [text for text in after.values() if "base64" in text]
    assert len(files(tmp_path)) == count
    _, again = run(tmp_path, INLINE)
    assert again["sheet"] == before["sheet"]


def test_an_odd_data_uri_is_left_out(tmp_path: Path) -> None:
    text = "<img src='data:image/gif;base64,R0lGODdh'> words"
    shown = Pictures(LINKS, Store(str(tmp_path)), "assets/x").shown(text)
    assert "R0lGODdh" not in shown
    assert "words" in shown
