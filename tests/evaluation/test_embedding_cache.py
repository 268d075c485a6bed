"""The cache of vectors: by content and encoder, in batches, of images that are opened only where needed."""

import threading
from functools import partial

import numpy as np
import pytest
from PIL import Image

from director_diffusion.errors import StillsError
from director_diffusion.evaluation.encoders.base import BATCH
from director_diffusion.evaluation.encoders.cache import EmbeddingCache
from director_diffusion.evaluation.encoders.look import DIMENSIONS, LookEncoder
from director_diffusion.evaluation.encoders.versions import VERSIONS, encoder_fingerprint
from director_diffusion.progress import Silent
from director_diffusion.storage import Store


class Means:
    """An encoder whose vectors are an image's mean levels; it remembers the sizes of its batches."""

    def __init__(self):
        self.batches = []

    def images(self, images):
        self.batches.append(len(images))
        return np.stack([np.asarray(image).mean(axis=(0, 1)) for image in images]).astype(np.float32)


def plain(level):
    return Image.new("RGB", (4, 4), (level, 0, 255 - level))


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path))


def wanted(levels):
    return {f"image-{level}": partial(plain, level) for level in levels}


def get(cache, images):
    return cache.images(images, title="Embedding", progress=Silent())


def test_vectors_come_back_by_hash_and_are_made_once(store):
    encoder = Means()
    first = get(EmbeddingCache(store, "means", lambda: encoder), wanted(range(70)))
    assert encoder.batches == [BATCH, BATCH, 6]
    assert all(first[f"image-{level}"] == pytest.approx([level, 0, 255 - level]) for level in range(70))

    def never():
        raise AssertionError("nothing is missing")

    again = get(EmbeddingCache(store, "means", never), dict.fromkeys(first, never))
    assert {name: vector.tolist() for name, vector in again.items()} == {n: v.tolist() for n, v in first.items()}


def test_only_what_is_missing_is_opened(store):
    encoder = Means()
    cache = EmbeddingCache(store, "means", lambda: encoder)
    get(cache, wanted([1, 2, 3]))
    opened = []
    found = get(cache, {f"image-{n}": lambda n=n: opened.append(n) or plain(n) for n in (2, 3, 4)})
    assert opened == [4]
    assert set(found) == {"image-2", "image-3", "image-4"}


@pytest.mark.parametrize("other", [{"fingerprint": "others"}, {"fresh": "monday"}])
def test_another_encoder_or_a_fresh_label_has_vectors_of_its_own(store, other):
    encoder = Means()
    get(EmbeddingCache(store, "means", lambda: encoder), wanted([1]))
    fingerprint = other.pop("fingerprint", "means")
    get(EmbeddingCache(store, fingerprint, lambda: encoder, **other), wanted([1]))
    assert encoder.batches == [1, 1]


def test_a_damaged_vector_is_made_anew(store, tmp_path):
    encoder = Means()
    cache = EmbeddingCache(store, "means", lambda: encoder)
    first = get(cache, wanted([1, 2]))
    [damaged] = tmp_path.rglob("image-1.safetensors")
    damaged.write_bytes(damaged.read_bytes()[:20])
    assert get(cache, wanted([1, 2]))["image-1"].tolist() == first["image-1"].tolist()
    assert encoder.batches == [2, 1]


def test_no_more_than_two_batches_of_images_are_open_at_a_time(store):
    lock, alive, most = threading.Lock(), set(), [0]

    class Seen(Means):
        def images(self, images):
            vectors = super().images(images)
            with lock:
                alive.difference_update({int(v[0]) for v in vectors})
            return vectors

    def opening(level):
        with lock:
            alive.add(level)
            most[0] = max(most[0], len(alive))
        return plain(level)

    get(EmbeddingCache(store, "means", Seen), {f"image-{n}": partial(opening, n) for n in range(8 * BATCH)})
    assert alive == set()
    assert BATCH <= most[0] <= 2 * BATCH


def test_an_image_that_cannot_be_opened_says_so_and_what_was_done_stays(store):
    encoder = Means()
    cache = EmbeddingCache(store, "means", lambda: encoder)

    def broken():
        raise StillsError("still", "is damaged", "Bring it again.")

    images = {**wanted(range(BATCH)), "broken": broken}
    with pytest.raises(StillsError, match="is damaged"):
        get(cache, images)
    get(cache, wanted(range(BATCH)))
    assert encoder.batches == [BATCH]


def test_looks_are_kept_like_vectors(store):
    cache = EmbeddingCache(store, encoder_fingerprint("look"), LookEncoder)
    assert get(cache, wanted([7]))["image-7"].shape == (DIMENSIONS,)


def test_a_fingerprint_hangs_on_kind_version_source_and_settings(monkeypatch):
    first = encoder_fingerprint("clip", source="a", model="ViT-L-14")
    assert first == encoder_fingerprint("clip", source="a", model="ViT-L-14")
    others = [
        encoder_fingerprint("timm", source="a", model="ViT-L-14"),
        encoder_fingerprint("clip", source="b", model="ViT-L-14"),
        encoder_fingerprint("clip", source="a", model="ViT-B-32"),
    ]
    monkeypatch.setitem(VERSIONS, "clip", VERSIONS["clip"] + 1)
    assert len({first, *others, encoder_fingerprint("clip", source="a", model="ViT-L-14")}) == 5
