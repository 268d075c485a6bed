"""What pages offer to draw with: listed once for all who open one, and true when an adapter is new."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from director_diffusion.storage import Store
from director_diffusion.studio.server import build_server
from director_diffusion.studio.studio import SHOWN_S, Studio
from director_diffusion.training.rows import WEIGHTS
from pipelines.cli.app import GRADIO
from pipelines.studio import build_studio
from pipelines.surroundings import read_surroundings
from tests.lineages import Lineage
from tests.small_configs import change, small_configs, surroundings_of
from tests.studio.conftest import RECIPE, served
from tests.studio.visitor import PATIENCE_S, Visitor

PEOPLE = ("nolan", "fincher", "villeneuve")
OTHERS = tuple(f"other_{number}" for number in range(4))  # recipes


@pytest.fixture
def listed(tmp_path: Path) -> Studio:
    """Five recipes; Nolan has an adapter of each."""
    configs = small_configs(tmp_path)
    text = (configs / "recipes" / f"{RECIPE}.yaml").read_text()
    for recipe in OTHERS:
        (configs / "recipes" / f"{recipe}.yaml").write_text(text)
    change(configs, "projects/demo", directors=list(PEOPLE), recipes=[RECIPE, *OTHERS])
    for recipe in (RECIPE, *OTHERS):
        make(Store(str(tmp_path / "store")), recipe, "nolan")
    return build_studio(read_surroundings(surroundings_of(tmp_path)))


def make(store: Store, recipe: str, director: str) -> None:
    Lineage(store, director).make((recipe, "adapter"), {}, files={WEIGHTS: b"weights"})


@pytest.fixture
def page(listed: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name, value in {**GRADIO, "GRADIO_TEMP_DIR": str(tmp_path / "gradio")}.items():
        monkeypatch.setenv(name, value)
    yield from served(build_server(listed))


def opened(page: str) -> list[list[str]]:
    """What each of the page's lists of adapters offers, asked for as a browser does when the page is opened."""
    with httpx.Client(base_url=page, timeout=PATIENCE_S) as client:
        visitor, config = Visitor(client), client.get("/config").json()
        lists = {one["id"] for one in config["components"] if str(one["props"].get("label")).startswith("Director")}
        looks = [one for one in config["dependencies"] if not one["inputs"] and lists & set(one["outputs"])]
        offers = []
        for look in looks:
            said = visitor.post({"data": [], "fn_index": look["id"]})
            assert said.shown is not None, said.problem
            offers += [[value for _, value in one["choices"]] for one in said.shown if "/" in str(one.get("choices"))]
    return offers


def test_the_store_is_not_asked_for_every_page(page: str, listed: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    nolans = [f"{recipe}/nolan" for recipe in (RECIPE, *OTHERS)]
    assert opened(page) == [nolans] * 6, "of Try, Compare and four of Blend"
    asked, sizes_of = [], Store.sizes_of

    def noted(store: Store, folder: str, names: Sequence[str]) -> dict[str, int]:
        asked.append(folder)
        return sizes_of(store, folder, names)

    monkeypatch.setattr(Store, "sizes_of", noted)  # of which one is asked for each adapter that is read
    started = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        assert all(offers == [nolans] * 6 for offers in pool.map(opened, [page] * 8))
    assert asked == [], "nothing has changed, and nothing is read"
    make(listed.store, RECIPE, "fincher")
    time.sleep(SHOWN_S)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(opened, [page] * 8))
    assert all(f"{RECIPE}/fincher" in offered for offers in found for offered in offers), (
        "nobody is told less than others"
    )
    assert len([one for one in asked if "/adapter/" in one]) == len(nolans) + 1, "once for all"
    assert time.monotonic() - started > SHOWN_S
