"""Pictures and stores for the tests of stills."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from director_diffusion.progress import Silent
from director_diffusion.specs import StillsRules
from director_diffusion.stills.ingest import ingest_stills
from director_diffusion.stills.raw import list_raw_files, list_still_decisions
from director_diffusion.stills.still_set import StillSet
from director_diffusion.storage.store import Store

Scene = Callable[..., Image.Image]
Put = Callable[..., Path]


@pytest.fixture(scope="session")
def scene() -> Scene:
    """`scene(seed, size)`: a bright, structured picture that differs from that of any other seed."""

    def draw(seed: int, size: tuple[int, int] = (320, 180)) -> Image.Image:
        rng = np.random.default_rng(seed)
        coarse = rng.integers(60, 250, (7, 9, 3), dtype=np.uint8)
        fine = rng.normal(0, 10, (size[1], size[0], 1))
        smooth = np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC), dtype=np.float64)
        return Image.fromarray((smooth + fine).clip(45, 255).astype(np.uint8))

    return draw


@pytest.fixture(scope="session")
def encode() -> Callable[..., bytes]:
    """`encode(image, format, **options)`: the bytes of an image file."""

    def save(image: Image.Image, kind: str, **options: Any) -> bytes:
        buffer = BytesIO()
        image.save(buffer, kind, **options)
        return buffer.getvalue()

    return save


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "store").mkdir()
    return Store(str(tmp_path / "store"))


@pytest.fixture
def put(store: Store, encode: Callable[..., bytes]) -> Put:
    """`put("film/file.jpg", image or bytes)` below stills/ann/ of the store."""

    def write(name: str, content: Image.Image | bytes, **options: Any) -> Path:
        assert store.local_root is not None
        path = store.local_root / "stills" / "ann" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Image.Image):
            kind = "PNG" if path.suffix == ".png" else "JPEG"
            content = encode(content, kind, **(options or ({"quality": 90} if kind == "JPEG" else {})))
        path.write_bytes(content)
        return path

    return write


@pytest.fixture
def ingest(store: Store, tmp_path: Path) -> Callable[..., StillSet]:
    """`ingest(**rules)`: the still set of director ann."""

    def run(**rules: Any) -> StillSet:
        raw = list_raw_files(store, "ann")
        decisions = list_still_decisions(store, "ann")
        return ingest_stills(store, raw, StillsRules(**rules), tmp_path / "out", Silent(), decisions)

    return run
