"""Images as training data: read as they are, fitted without squashing, and clear about what is wrong with a file."""

import errno
import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Never

import numpy as np
import pytest
import torch
from PIL import Image

from director_diffusion.errors import DataError, ModelError
from director_diffusion.latents.buckets import Bucket
from director_diffusion.pretraining.image_folder import image_files
from director_diffusion.pretraining.images import Splits, fitted, load_images
from director_diffusion.pretraining.specs import HubImages, IdxImages, ImageFolder
from director_diffusion.progress import Silent
from director_diffusion.specs import Resolution

SQUARE = Resolution(side=32, multiple=8, aspects=(1.0,))
WORDS = (("0", "zero"), ("1", "one"), ("2", "two"))


def idx(array: np.ndarray, kind: int = 0x08) -> bytes:
    header = bytes([0, 0, kind, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


IMAGES = np.arange(5 * 28 * 28, dtype=np.uint32).astype(np.uint8).reshape(5, 28, 28)
LABELS = np.array([2, 0, 1, 1, 2], np.uint8)


def load(
    data: IdxImages | ImageFolder | HubImages, root: Path, channels: int = 1, resolution: Resolution = SQUARE
) -> Splits:
    return load_images(data, resolution, channels, root=root, cache=root / "cache", token=None, progress=Silent())


def digits(**changes: object) -> IdxImages:
    return IdxImages.model_validate(
        {"kind": "idx", "images": "images.idx", "labels": "labels.idx", "words": WORDS, **changes}
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "images.idx").write_bytes(idx(IMAGES))
    (tmp_path / "labels.idx").write_bytes(gzip.compress(idx(LABELS)))
    return tmp_path


# --- IDX ---------------------------------------------------------------------------------------------------------


def test_digits_are_padded_and_named_and_the_last_held_out(root: Path) -> None:
    (train,), (held_out,) = load(digits(held_out=2), root)
    assert (train.pixels.shape, held_out.pixels.shape) == ((3, 1, 32, 32), (2, 1, 32, 32))
    assert train.prompts + held_out.prompts == tuple(WORDS[label] for label in LABELS)
    pixels = torch.cat([train.pixels, held_out.pixels])[:, 0].numpy()
    assert (pixels[:, 2:30, 2:30] == IMAGES).all()
    pixels[:, 2:30, 2:30] = 0
    assert not pixels.any()


def test_three_channels_make_them_colour(root: Path) -> None:
    (train,), held_out = load(digits(), root, channels=3)
    assert held_out == []
    assert train.pixels.shape == (5, 3, 32, 32)
    assert (train.pixels == train.pixels[:, :1]).all()


def test_a_url_is_read_as_a_path_is(root: Path) -> None:
    (train,), _ = load(digits(images=f"file://{root}/images.idx"), root)
    assert len(train) == 5


WRONG: dict[str, tuple[str, Callable[[bytes], bytes], str]] = {
    "not IDX": ("images", lambda data: b"\x89PNG" + data, "images.idx: is no IDX file: it starts with .* 89 50 4e 47"),
    "empty": ("images", lambda data: b"", "images.idx: is no IDX file"),
    "of another type": ("images", lambda data: data[:2] + b"\x0d" + data[3:], "holds float32, not uint8"),
    "interchanged": ("images", lambda data: idx(LABELS), "has 1 dimensions, not 3. See whether images and labels"),
    "with half a header": ("images", lambda data: data[:10], "has no whole header"),
    "truncated": ("images", lambda data: data[:-1], r"is truncated: 3919 of 3920 bytes .* \[5, 28, 28\]"),
    "with extra bytes": ("images", lambda data: data + b"\0", "has extra bytes"),
    "of a size beyond all": ("images", lambda data: data[:4] + b"\xff" * 12 + data[16:], "is truncated: 3920 of"),
    "holding nothing": ("labels", lambda data: idx(LABELS[:0]), "holds nothing"),
    "of another count": ("labels", lambda data: idx(LABELS[:4]), "labels.idx: has 4 labels for the 5 images"),
    "with a label too many": ("labels", lambda data: idx(LABELS + 1), r"holds the label 3 \(image 0\), but `words`"),
    "with gzip cut short": ("labels", lambda data: data[:-9], "labels.idx: is a damaged gzip file"),
    "with a sum that is not its own": ("labels", lambda data: data[:-8] + bytes(8), "is a damaged gzip file"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_file_that_is_wrong_is_named(root: Path, case: str) -> None:
    name, damage, message = WRONG[case]
    path = root / f"{name}.idx"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=message):
        load(digits(), root)


def test_who_lacks_the_files_is_told_where_they_are(root: Path) -> None:
    (root / "images.idx").unlink()
    with pytest.raises(
        DataError, match=rf"images.idx: was not found \(looked for {root}/images.idx\).*had at the moon/images.idx; put"
    ):
        load(digits(available_at="the moon/"), root)
    with pytest.raises(DataError, match="nowhere://x: cannot be read"):
        load(digits(images="nowhere://x"), root)


def test_something_must_be_left_to_train_on(root: Path) -> None:
    with pytest.raises(DataError, match="has 5 images, of which 5 are held out"):
        load(digits(held_out=5), root)


# --- fitting -----------------------------------------------------------------------------------------------------


def test_pictures_are_scaled_down_to_cover_and_cropped_about_the_centre() -> None:
    wide = Image.new("RGB", (96, 48), "red")
    wide.paste("blue", (24, 0, 72, 48))
    image = fitted(wide, [Bucket(32, 32)])
    assert image.size == (32, 32)
    assert image.getpixel((3, 16)) == image.getpixel((28, 16)) == (0, 0, 255)


def test_pictures_are_never_enlarged_or_squashed() -> None:
    image = np.asarray(fitted(Image.new("L", (40, 20), 255), [Bucket(32, 32)]))
    assert image.shape == (32, 32)
    assert (image[6:26] == 255).all()
    assert not image[:6].any()
    assert not image[26:].any()


def test_the_bucket_is_the_one_of_the_nearest_shape() -> None:
    assert fitted(Image.new("L", (100, 48)), [Bucket(32, 32), Bucket(48, 24)]).size == (48, 24)


# --- folders -----------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for label, colour in (("red_square", "red"), ("green", "green")):
        (tmp_path / "set" / label / "more").mkdir(parents=True)
        for number in range(4):
            side = 40 + number
            Image.new("RGB", (side, side), colour).save(tmp_path / "set" / label / f"{number}.png")
        Image.new("RGB", (32, 32), colour).save(tmp_path / "set" / label / "more" / "5.jpg")
    (tmp_path / "set" / "green" / "notes.txt").write_text("not an image")
    (tmp_path / "set" / ".hidden").mkdir()
    return tmp_path


def test_a_subfolder_is_a_label(folder: Path) -> None:
    (train,), (held_out,) = load(ImageFolder(kind="imagefolder", folder="set", held_out_share=0.2), folder, channels=3)
    assert sorted(train.prompts) == [("green",)] * 4 + [("red square",)] * 4
    assert sorted(held_out.prompts) == [("green",), ("red square",)]
    assert train.pixels.shape == (8, 3, 32, 32)
    assert train.prompts[0] == ("green",)
    assert train.pixels[0].float().mean((1, 2)).tolist() == pytest.approx([0, 128, 0], abs=2)


def test_deep_grey_is_scaled_and_not_clipped(folder: Path) -> None:
    deep = np.full((32, 32), 0x8000, np.uint16)
    for label in ("green", "red_square"):
        for path in (folder / "set" / label).rglob("*.*g"):
            path.unlink()
        Image.fromarray(deep).save(folder / "set" / label / "deep.png")
    (train,), _ = load(ImageFolder(kind="imagefolder", folder="set"), folder)
    assert set(train.pixels.unique().tolist()) == {128}


def test_files_that_are_no_images_are_named(folder: Path) -> None:
    whole = (folder / "set/green/0.png").read_bytes()
    (folder / "set/green/0.png").write_bytes(whole[: len(whole) // 2])
    (folder / "set/red_square/1.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"^set: has files .*green/0.png is truncated.*red_square/1.png is empty.*Mend"):
        load(ImageFolder(kind="imagefolder", folder="set"), folder)


def test_what_a_folder_lacks_is_named(folder: Path) -> None:
    (folder / "set" / "nothing").mkdir()
    with pytest.raises(DataError, match="set/nothing: holds no images"):
        load(ImageFolder(kind="imagefolder", folder="set"), folder)
    with pytest.raises(DataError, match="set/green/more: has no subfolders"):
        load(ImageFolder(kind="imagefolder", folder="set/green/more"), folder)
    with pytest.raises(DataError, match="gone: is not a folder"):
        load(ImageFolder(kind="imagefolder", folder="gone"), folder)


def test_hidden_files_and_folders_are_no_images_and_links_are_what_they_lead_to(folder: Path) -> None:
    before = image_files(folder / "set", "set")
    for hidden in ("green/.ipynb_checkpoints", "green/more/.cache"):
        (folder / "set" / hidden).mkdir()
        Image.new("RGB", (8, 8)).save(folder / "set" / hidden / "0.png")
    Image.new("RGB", (8, 8)).save(folder / "set" / "green" / ".0.png")
    assert image_files(folder / "set", "set") == before
    assert before == sorted(before)
    for link, target in (("linked", "red_square"), ("green/linked", "red_square/more")):
        (folder / "set" / link).symlink_to(folder / "set" / target)
    found = image_files(folder / "set", "set")
    assert [path for label, path in found if label == "linked"] == sorted((folder / "set" / "linked").rglob("*.*g"))
    assert set(found) - set(before) >= {("green", folder / "set/green/linked/5.jpg")}
    assert len(found) == len(before) + 6
    trained, _ = load(ImageFolder(kind="imagefolder", folder="set"), folder, channels=3)
    assert sum(map(len, trained)) == len(found)


def test_a_folder_that_cannot_be_walked_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "set" / "green" / "again").symlink_to(folder / "set")
    with pytest.raises(DataError, match="set/green/again: is a link to a folder that it lies in"):
        image_files(folder / "set", "set")

    def refuse(path: Path) -> Never:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(DataError, match=r"set: cannot be read: Permission denied\. Give this user"):
        image_files(folder / "set", "set")


def test_a_full_disk_is_told_as_such(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def snapshot(repo: str, **options: object) -> Never:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    with pytest.raises(ModelError, match=rf"{folder}/cache: has no space left"):
        load(HubImages(kind="hub", repo="owner/name", revision="a" * 40, folder="set"), folder)


def test_a_data_set_of_the_hub_is_a_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}

    def snapshot(repo: str, **options: object) -> str:
        asked.update(options, repo=repo)
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    data = HubImages(kind="hub", repo="owner/name", revision="a" * 40, folder="set")
    (train,), _ = load(data, folder, channels=3)
    assert len(train) == 10
    assert (asked["repo"], asked["repo_type"], asked["revision"]) == ("owner/name", "dataset", "a" * 40)
    assert asked["allow_patterns"] == ["set/*"]
