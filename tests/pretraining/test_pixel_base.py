"""A base without a VAE, trained on image files: a whole folder of its family, the same one for the same seed."""

import json
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from director_diffusion.errors import DataError
from director_diffusion.families import get_family
from director_diffusion.hashing import hash_folder
from director_diffusion.pretraining.denoiser import build_denoiser
from director_diffusion.pretraining.keys import data_fingerprint, part_keys
from director_diffusion.pretraining.part_run import trained_here
from director_diffusion.specs import Base
from tests.pretraining.small_bases import DENOISER, VAE, run_in, small_base, with_data

PIXELS = {**DENOISER, "patch": 8, "prompt_tokens": 8}


def pixel_base(seed: int = 0, **changes: object) -> Base:
    """As the small base, on grey digits of 28 × 28 pixels."""
    return Base.model_validate(
        {
            **small_base().model_dump(),
            "family": "flux_pixel",
            "resolution": {"side": 32, "multiple": 8, "aspects": [1.0]},
            "max_prompt_tokens": 8,
            "trained_here": {
                "data": {"kind": "idx", "images": "images", "labels": "labels", "words": [["0", "zero"], ["1", "one"]]},
                "channels": 1,
                "seed": seed,
                "denoiser": PIXELS,
                **changes,
            },
        }
    )


def write_digits(folder: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 28, 28), np.uint8)
    (folder / "images").write_bytes(bytes([0, 0, 8, 3]) + struct.pack(">3I", *pixels.shape) + pixels.tobytes())
    (folder / "labels").write_bytes(bytes([0, 0, 8, 1]) + struct.pack(">I", 12) + bytes([0, 1] * 6))


def test_digits_make_a_whole_base_and_a_seed_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        run, shown = run_in(tmp_path / name)
        write_digits(run.root)
        base = pixel_base(seed)
        build_denoiser(base, with_data(run, base))
        assert shown == [2, 4]
        get_family("flux_pixel").check_folder(run.out)
    one, again, other = (hash_folder(tmp_path / name / "out") for name in ("one", "again", "other"))
    assert one == again != other


def test_colour_pictures_of_a_folder_make_a_base_of_three_channels(tmp_path: Path) -> None:
    run, _ = run_in(tmp_path)
    for colour in ("red", "blue"):
        (tmp_path / "set" / colour).mkdir(parents=True)
        for number in range(6):
            Image.new("RGB", (40, 36), colour).save(tmp_path / "set" / colour / f"{number}.png")
    base = pixel_base(data={"kind": "imagefolder", "folder": "set"}, channels=3)
    build_denoiser(base, with_data(run, base))
    get_family("flux_pixel").check_folder(run.out)
    config = json.loads((run.out / "transformer" / "config.json").read_text())
    assert (config["patch_size"], config["out_channels"], config["in_channels"]) == (8, 3, 192)


def test_a_key_follows_the_datas_content_and_not_its_place(tmp_path: Path) -> None:
    keys = []
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        write_digits(tmp_path / name)
        keys.append(part_keys(pixel_base(), root=tmp_path / name, cache=tmp_path))
    assert keys[0] == keys[1]
    data = trained_here(pixel_base()).data
    before = data_fingerprint(data, root=tmp_path / "there", cache=tmp_path)
    shutil.copy(tmp_path / "there" / "labels", tmp_path / "there" / "images")
    assert data_fingerprint(data, root=tmp_path / "there", cache=tmp_path) != before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channels": 1, "data": {"kind": "drawn_scenes", "pictures": 4}}, "channels 1 is for image files"),
        ({"vae": VAE, "denoiser": DENOISER}, "channels 1 is for image files and a base without a vae"),
        ({"denoiser": {**PIXELS, "prompt_tokens": 9}}, "must be the prompt_tokens"),
        ({"denoiser": {**PIXELS, "patch": 16}}, "resolution: multiple 8 must be a multiple of 16, the pixels"),
    ],
)
def test_what_does_not_go_together_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        pixel_base(**changes)


def test_data_that_changed_since_it_was_named_is_refused(tmp_path: Path) -> None:
    run, _ = run_in(tmp_path)
    write_digits(tmp_path)
    base = pixel_base()
    named = with_data(run, base)
    labels = bytearray((tmp_path / "labels").read_bytes())
    labels[-1] = (labels[-1] + 1) % 2
    (tmp_path / "labels").write_bytes(labels)
    with pytest.raises(DataError, match="data that changed while it was being read"):
        build_denoiser(base, named)
    assert not any(run.work.glob("*"))


def test_labels_longer_than_the_denoiser_reads_are_refused(tmp_path: Path) -> None:
    run, _ = run_in(tmp_path)
    write_digits(tmp_path)
    words = [["golden eagle"], ["golden retriever", "dog"]]
    base = pixel_base(data={"kind": "idx", "images": "images", "labels": "labels", "words": words})
    with pytest.raises(DataError, match=r"'golden retriever' takes 13 tokens, and it reads 8\. Set .* to 13 or more"):
        build_denoiser(base, with_data(run, base))
    assert not any(run.work.glob("*"))


def test_a_family_and_a_resolution_suit_the_vae() -> None:
    with pytest.raises(ValidationError, match="flux_pixel is trained without a `vae`, all others with one"):
        Base.model_validate({**pixel_base().model_dump(), "family": "flux"})
    with pytest.raises(ValidationError, match="patch 8 does not go with a vae"):
        small_base(denoiser={**DENOISER, "patch": 8})
    with pytest.raises(ValidationError, match="resolution: multiple 4 must be a multiple of 8"):
        small_base(vae={**VAE, "channels": [16, 16, 16]})
