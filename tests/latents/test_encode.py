"""Latents: posteriors as the VAE gives them, each computed once, and checks that say whether they serve."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from PIL import Image

from director_diffusion.errors import ModelError, StoreError
from director_diffusion.latents.checks import CHECKS, judge
from director_diffusion.latents.encode import encode_latents, latent_fingerprint
from director_diffusion.latents.load import load_posteriors
from director_diffusion.latents.pixels import psnr, to_tensor
from director_diffusion.latents.previews import bucket_table, reconstructions
from director_diffusion.latents.rows import LatentRow
from director_diffusion.progress import Silent
from director_diffusion.specs import Base, FolderSource, Guidance, Licence, Resolution
from director_diffusion.stills.rows import Still
from director_diffusion.stills.still_set import StillSet
from director_diffusion.storage.items import ItemCache
from director_diffusion.storage.store import Store
from director_diffusion.tables import read_table

SIZES = ((240, 100), (192, 104), (240, 101), (120, 120), (40, 30))  # three buckets of film, and a small one


@pytest.fixture
def base() -> Base:
    return Base(
        slug="mini",
        name="mini",
        family="flux",
        source=FolderSource(kind="folder", folder="models/mini/base"),
        model_id="mini",
        licence=Licence(id="apache-2.0"),
        guidance=Guidance(kind="embedded"),
        resolution=Resolution(side=64, multiple=8),
        dtype="float32",
    )


@pytest.fixture
def still_set(tmp_path: Path) -> StillSet:
    folder, rng = tmp_path / "stills", np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    rows = []
    for index, (width, height) in enumerate(SIZES):
        slope = np.linspace(0, 1, width)[None, :, None] * rng.uniform(50, 250, 3)
        pixels = np.broadcast_to(slope, (height, width, 3)) + rng.normal(0, 2, (height, width, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / "images" / f"{index}.png")
        rows.append(
            Still(
                still=f"still{index}",
                film="film",
                name=f"{index}.png",
                sha256="",
                status="kept",
                reason="",
                warnings=(),
                split="held_out" if index == 3 else "train",
                width=width,
                height=height,
                crop=(),
                reference="",
                file=f"images/{index}.png",
                phash="0" * 16,
                cluster=index,
            )
        )
    rejected = replace(rows[0], still="rejected", status="rejected", reason="black", split="none", file="")
    return StillSet([*rows, rejected], Store(str(tmp_path / "store")), folder)


@pytest.fixture
def encode(
    base: Base, still_set: StillSet, mini_base: Path, tmp_path: Path
) -> Callable[..., tuple[list[LatentRow], ItemCache]]:
    def run(
        folder: Path = mini_base, base: Base = base, stills: StillSet = still_set
    ) -> tuple[list[LatentRow], ItemCache]:
        cache = ItemCache(stills.store, "latents", latent_fingerprint(base, "source"), ".safetensors")
        out = tmp_path / "out"
        out.mkdir(exist_ok=True)
        rows = encode_latents(stills, base, folder, cache=cache, device="cpu", out=out, progress=Silent())
        assert repr(read_table(out / "latents.parquet", LatentRow)) == repr(rows)  # NaN does not equal itself
        return rows, cache

    return run


def test_rows_and_posteriors_are_the_vaes_own(encode: Callable, still_set: StillSet, mini_base: Path) -> None:
    rows, _ = encode()
    assert [row.still for row in rows] == [still.still for still in still_set.kept]
    assert [row.split for row in rows].count("held_out") == 1
    assert [(row.width, row.height) for row in rows] == [(96, 40), (88, 48), (96, 40), (64, 64), (32, 24)]
    assert all(row.scale <= 1 and row.cropped < 0.05 for row in rows[:-1])

    vae = AutoencoderKL.from_pretrained(mini_base / "vae", dtype=torch.float32)
    posteriors = load_posteriors(rows, still_set.store)
    square = still_set.open(still_set.kept[3]).resize((64, 64), Image.Resampling.LANCZOS)
    with torch.no_grad():
        expected = vae.encode(to_tensor(square)[None]).latent_dist
        decoded = vae.decode(expected.mean).sample.clamp(-1, 1)
    mean, std = posteriors["still3"]
    assert mean.dtype == std.dtype == torch.float32
    torch.testing.assert_close(mean, expected.mean[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(std, expected.std[0], rtol=1e-4, atol=1e-5)
    assert rows[3].psnr == pytest.approx(psnr(to_tensor(square), decoded[0]), abs=1e-3)


def test_what_is_there_needs_no_model(encode: Callable, still_set: StillSet, tmp_path: Path) -> None:
    rows, _ = encode()
    again, _ = encode(folder=tmp_path / "no model here")
    assert again == rows
    sheet = reconstructions(again, still_set, still_set.store)
    assert sheet.width > 300
    assert "| 96 × 40 | 2.40 | 2 | 0 | 1.0% |" in bucket_table(again)


def test_only_what_is_missing_is_computed(
    encode: Callable, still_set: StillSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, cache = encode()
    before = cache.read(rows[1].item), cache.read(rows[3].item)
    still_set.store.write(cache.name(rows[1].item), b"damaged")
    still_set.store.delete(cache.name(rows[3].item))
    opened: list[str] = []
    open_still = StillSet.open
    monkeypatch.setattr(StillSet, "open", lambda self, still: (opened.append(still.still), open_still(self, still))[1])
    again, _ = encode()
    assert sorted(opened) == ["still1", "still3"]
    assert (cache.read(rows[1].item), cache.read(rows[3].item)) == before, "the same bits, though in other company"
    assert again == rows


def test_a_kill_loses_no_item_that_was_done(
    encode: Callable, still_set: StillSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_still = StillSet.open

    def killed(self: StillSet, still: Still) -> Image.Image:
        if still.still == "still3":
            raise KeyboardInterrupt
        return open_still(self, still)

    monkeypatch.setattr(StillSet, "open", killed)
    with pytest.raises(KeyboardInterrupt):
        encode()
    monkeypatch.setattr(StillSet, "open", open_still)
    cache = ItemCache(still_set.store, "latents", still_set.store.names("cache/latents")[0], ".safetensors")
    assert len(cache.missing([f"still{i}-96x40" for i in (0, 2)])) == 0
    assert len(encode()[0]) == len(SIZES)


def test_other_buckets_share_what_they_can(encode: Callable, base: Base, still_set: StillSet) -> None:
    _, cache = encode()
    before = set(still_set.store.names(cache.folder))
    smaller = Resolution(side=64, multiple=8, smaller_sides=(32,), aspects=(2.39, 1.85, 1.33))
    encode(base=base.model_copy(update={"resolution": smaller}))
    assert len(set(still_set.store.names(cache.folder)) - before) < len(SIZES)


def test_fingerprints_follow_the_source_alone(base: Base) -> None:
    assert latent_fingerprint(base, "a") != latent_fingerprint(base, "b")
    other = base.model_copy(update={"resolution": Resolution(side=128, multiple=16)})
    assert latent_fingerprint(base, "a") == latent_fingerprint(other, "a")


def test_buckets_must_suit_the_vae(encode: Callable, base: Base) -> None:
    odd = base.model_copy(update={"resolution": Resolution(side=64, multiple=3)})
    with pytest.raises(ModelError, match=r"mini: has buckets in multiples of 3 pixels.*resolution.multiple"):
        encode(base=odd)


def test_a_damaged_item_is_named_when_training_wants_it(encode: Callable, still_set: StillSet) -> None:
    rows, _ = encode()
    still_set.store.write(rows[0].reference, still_set.store.read(rows[0].reference)[:-10])
    with pytest.raises(StoreError, match=rf"{rows[0].reference}: is damaged. Delete it"):
        load_posteriors(rows, still_set.store)


def test_checks_pass_what_serves(encode: Callable, base: Base) -> None:
    rows, _ = encode()
    finite, reconstruction = judge(rows, base.model_copy(update={"min_reconstruction_psnr": 1.0}))
    assert (finite.name, reconstruction.name) == tuple(check.name for check in CHECKS)
    assert finite.passed
    assert reconstruction.passed
    strict = judge(rows, base.model_copy(update={"min_reconstruction_psnr": 60.0}))[1]
    assert strict.blocking
    assert not strict.passed
    assert strict.metadata["median"] == pytest.approx(float(np.median([row.psnr for row in rows])), abs=1e-3)
    assert not judge([], base)[1].passed


def test_a_broken_vae_fails_the_checks_and_is_tried_anew(
    encode: Callable, base: Base, still_set: StillSet, mini_base: Path, tmp_path: Path
) -> None:
    vae = AutoencoderKL.from_pretrained(mini_base / "vae", dtype=torch.float32)
    with torch.no_grad():
        vae.encoder.conv_in.weight.fill_(math.nan)
    vae.save_pretrained(tmp_path / "broken" / "vae")
    rows, _ = encode(folder=tmp_path / "broken")
    finite, reconstruction = judge(rows, base)
    assert finite.blocking
    assert not finite.passed
    assert finite.metadata["broken"] == [row.still for row in rows]
    assert not reconstruction.passed
    reconstructions(rows, still_set, still_set.store)
    assert all(math.isfinite(row.psnr) for row in encode()[0])
