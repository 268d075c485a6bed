"""Prompt embeddings: every training prompt and the empty one, each distinct prompt computed once."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from director_diffusion.captions.rows import Caption
from director_diffusion.errors import StoreError
from director_diffusion.families import get_family
from director_diffusion.progress import Silent
from director_diffusion.prompts.encode import encode_prompts, prompt_fingerprint
from director_diffusion.prompts.load import load_prompts
from director_diffusion.prompts.rows import PromptRow
from director_diffusion.specs import Base, Director, FolderSource, Guidance, Licence, Resolution
from director_diffusion.storage.items import ItemCache
from director_diffusion.storage.store import Store
from director_diffusion.tables import read_table

DIRECTOR = Director(slug="nolan", name="Christopher Nolan", trigger="nolan style", stills_licence="none")
BASE = Base(
    slug="mini",
    name="mini",
    family="flux",
    source=FolderSource(kind="folder", folder="models/mini/base"),
    model_id="mini",
    licence=Licence(id="apache-2.0"),
    guidance=Guidance(kind="embedded"),
    resolution=Resolution(side=64, multiple=8),
    max_prompt_tokens=32,
    dtype="float32",
)


def caption(still: str, text: str) -> Caption:
    return Caption(still, "film", f"{still}.jpg", "train", text, "person" if text else "none", "ok", (), 0, 5)


CAPTIONS = [caption("a", "a red car"), caption("b", "two houses"), caption("c", "a red car"), caption("d", "")]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


@pytest.fixture
def encode(store: Store, mini_base: Path, tmp_path: Path) -> Callable[..., list[PromptRow]]:
    def run(captions: list[Caption] = CAPTIONS, folder: Path = mini_base) -> list[PromptRow]:
        cache = ItemCache(store, "prompts", prompt_fingerprint(BASE, "source"), ".safetensors")
        out = tmp_path / "out"
        out.mkdir(exist_ok=True)
        rows = encode_prompts(captions, DIRECTOR, BASE, folder, cache=cache, device="cpu", out=out, progress=Silent())
        assert read_table(out / "prompts.parquet", PromptRow) == rows
        return rows

    return run


def test_a_row_per_caption_and_one_for_the_empty_prompt(
    encode: Callable[..., list[PromptRow]], store: Store, mini_base: Path
) -> None:
    rows = encode()
    assert [(row.still, row.prompt) for row in rows] == [
        ("a", "nolan style, a red car"),
        ("b", "nolan style, two houses"),
        ("c", "nolan style, a red car"),
        ("d", "nolan style"),  # no caption: the trigger alone
        ("", ""),
    ]
    assert rows[0].item == rows[2].item
    embeddings = load_prompts(rows, store)
    assert embeddings.keys() == {row.item for row in rows}
    encoder = get_family("flux").load_prompt_encoder(mini_base, device="cpu", dtype=torch.float32, max_tokens=32)
    for row in rows:
        (expected,) = encoder.encode([row.prompt])
        assert embeddings[row.item].keys() == expected.keys()
        for name, tensor in expected.items():
            torch.testing.assert_close(embeddings[row.item][name], tensor, rtol=1e-5, atol=1e-5)


def test_an_edited_caption_is_one_new_item(
    encode: Callable[..., list[PromptRow]], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from director_diffusion.families.flux.encoding import FluxPromptEncoder

    before = encode()
    asked: list[str] = []
    original = FluxPromptEncoder.encode
    monkeypatch.setattr(
        FluxPromptEncoder, "encode", lambda self, prompts: (asked.extend(prompts), original(self, prompts))[1]
    )
    after = encode([*CAPTIONS[:1], caption("b", "three houses"), *CAPTIONS[2:]])
    assert set(asked) == {"nolan style, three houses"}
    assert [row.item for row in after if row.still != "b"] == [row.item for row in before if row.still != "b"]


def test_what_is_there_needs_no_model_and_what_is_damaged_is_made_anew(
    encode: Callable[..., list[PromptRow]], store: Store, tmp_path: Path
) -> None:
    rows = encode()
    assert encode(folder=tmp_path / "no model here") == rows
    store.write(rows[1].reference, b"damaged")
    with pytest.raises(StoreError, match=rf"{rows[1].reference}: is damaged. Delete it"):
        load_prompts(rows, store)
    encode()
    assert len(load_prompts(rows, store)) == 4


def test_the_fingerprint_says_all_that_embeddings_depend_on() -> None:
    names = {
        prompt_fingerprint(BASE, "source"),
        prompt_fingerprint(BASE, "other"),
        prompt_fingerprint(BASE.model_copy(update={"max_prompt_tokens": 64}), "source"),
        prompt_fingerprint(BASE.model_copy(update={"dtype": "bfloat16"}), "source"),
    }
    assert len(names) == 4
    assert prompt_fingerprint(BASE.model_copy(update={"slug": "other"}), "source") in names
