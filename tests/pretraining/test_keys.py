"""Keys: what a part depends on names it, and nothing else does."""

import gzip
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from director_diffusion.errors import DataError, DirectorError
from director_diffusion.pretraining.keys import PARTS, STANDS_ON, data_fingerprint, part_keys, parts_of
from director_diffusion.pretraining.specs import ImageFolder
from director_diffusion.specs import Base
from tests.pretraining.small_bases import DENOISER, STEPS, VAE, small_base

CAPTIONER = {**STEPS, "max_pixels": 1024}


def pixel_base(**places: str) -> Base:
    """A base without a VAE, whose data are files."""
    data = {"kind": "idx", "images": "images.gz", "labels": "labels.gz", "words": [["zero"]], **places}
    spec = {"data": data, "channels": 1, "denoiser": DENOISER}
    return Base.model_validate({**small_base().model_dump(mode="json"), "family": "flux_pixel", "trained_here": spec})


def changed(root: Path, before: Base, after: Base) -> set[str]:
    """Parts whose key is another."""
    keys = [part_keys(base, root=root, cache=root / "cache") for base in (before, after)]
    return {name for name in keys[0] if keys[0][name] != keys[1][name]}


def test_a_part_comes_after_what_it_stands_on() -> None:
    for name, under in STANDS_ON.items():
        assert all(PARTS.index(part) < PARTS.index(name) for part in under)
    assert parts_of(small_base(captioner=CAPTIONER)) == ["vae", "denoiser", "captioner"]


def test_a_part_is_named_by_its_own_spec_and_by_what_it_stands_on(tmp_path: Path) -> None:
    base = small_base(captioner=CAPTIONER)
    assert changed(tmp_path, base, small_base(captioner=CAPTIONER)) == set()
    assert changed(tmp_path, base, small_base(captioner={**CAPTIONER, "max_pixels": 2048})) == {"captioner"}
    assert changed(tmp_path, base, small_base(captioner=CAPTIONER, denoiser={**DENOISER, "lr": 1e-3})) == {"denoiser"}
    vae = {**VAE, "latent_channels": 6}
    assert changed(tmp_path, base, small_base(captioner=CAPTIONER, vae=vae)) == {"vae", "denoiser"}


def test_data_seed_and_resolution_are_every_parts(tmp_path: Path) -> None:
    base, every = small_base(), {"vae", "denoiser"}
    assert changed(tmp_path, base, small_base(seed=1)) == every
    assert changed(tmp_path, base, small_base(data={"kind": "drawn_scenes", "pictures": 9})) == every
    larger = base.resolution.model_copy(update={"side": 64})
    assert changed(tmp_path, base, base.model_copy(update={"resolution": larger})) == every
    renamed = base.model_copy(update={"name": "another name"})
    assert changed(tmp_path, base, renamed) == set(), "what people call it changes no weight"


def test_what_only_shows_a_training_names_no_part(tmp_path: Path) -> None:
    shown = {**DENOISER, "checkpoint_every": 2, "preview_every": 2, "preview_steps": 1}
    assert changed(tmp_path, small_base(), small_base(denoiser=shown)) == set()
    more_held_out = {"kind": "drawn_scenes", "pictures": 64}
    few, many = (small_base(data={**more_held_out, "held_out": count}) for count in (8, 16))
    assert changed(tmp_path, few, many) == set()
    narrower = few.resolution.model_copy(update={"max_cropped": 0.01, "smaller_sides": (32,)})
    assert changed(tmp_path, few, few.model_copy(update={"resolution": narrower})) == set()


def test_files_count_by_their_content_wherever_they_lie(tmp_path: Path) -> None:
    def keys(folder: Path, level: int, **places: str) -> dict[Any, str]:
        names = {"images": "images.gz", "labels": "labels.gz"} | places
        folder.mkdir(exist_ok=True)
        pictures = gzip.compress(struct.pack(">4i", 2051, 1, 2, 2) + bytes([level] * 4))
        (folder / names["images"]).write_bytes(pictures)
        (folder / names["labels"]).write_bytes(gzip.compress(struct.pack(">2i", 2049, 1) + b"\0"))
        return part_keys(pixel_base(**places), root=folder, cache=tmp_path / "cache")

    first = keys(tmp_path / "here", 7)
    assert first == keys(tmp_path / "there", 7)
    assert first == keys(tmp_path / "here", 7, images="renamed.gz", available_at="somewhere")
    assert first != keys(tmp_path / "here", 8)


def test_absent_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(DirectorError, match=r"images\.gz"):
        part_keys(pixel_base(), root=tmp_path, cache=tmp_path)


def test_of_a_folder_the_pictures_count_that_are_trained_on(tmp_path: Path) -> None:
    data = ImageFolder(kind="imagefolder", folder="set")
    with pytest.raises(DataError, match=r"^set: is not a folder"):
        data_fingerprint(data, root=tmp_path, cache=tmp_path)
    label = tmp_path / "set" / "cat"
    label.mkdir(parents=True)
    (label / "a.png").write_bytes(b"one")
    before = data_fingerprint(data, root=tmp_path, cache=tmp_path)
    (label / ".ipynb_checkpoints").mkdir()
    (label / ".ipynb_checkpoints" / "a.png").write_bytes(b"no picture of it")
    (label / "notes.txt").write_text("nor is this")
    assert data_fingerprint(data, root=tmp_path, cache=tmp_path) == before
    (tmp_path / "dogs").mkdir()
    (tmp_path / "set" / "dog").symlink_to(tmp_path / "dogs")
    (tmp_path / "dogs" / "b.png").write_bytes(b"two")
    linked = data_fingerprint(data, root=tmp_path, cache=tmp_path)
    assert linked != before
    (tmp_path / "dogs" / "b.png").write_bytes(b"three")
    assert data_fingerprint(data, root=tmp_path, cache=tmp_path) != linked


def test_keys_need_no_torch() -> None:
    code = (
        "import sys; import director_diffusion.pretraining.keys; "
        "assert not {'torch', 'diffusers', 'transformers', 'open_clip'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
