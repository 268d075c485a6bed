"""Small copies of stills wait in a file until they are compared."""

import errno
import os
from pathlib import Path

import pytest
from PIL import Image

from director_diffusion.stills.thumbs import Thumbs

PICTURE = Image.effect_noise((90, 60), 60).convert("RGB")


def test_a_write_that_takes_a_part_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, place: whole(fd, memoryview(data)[:1000], place))
    with Thumbs(tmp_path) as thumbs:
        kept = [thumbs.put(PICTURE), thumbs.put(PICTURE)]
        assert [thumbs.take(one).tobytes() for one in kept] == [PICTURE.tobytes()] * 2


def test_a_disk_that_fills_up_on_the_way_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, calls = os.pwrite, []

    def full(fd: int, data: memoryview, place: int) -> int:
        calls.append(place)
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return whole(fd, memoryview(data)[:1000], place)

    monkeypatch.setattr(os, "pwrite", full)
    with Thumbs(tmp_path) as thumbs, pytest.raises(OSError, match="No space left"):
        thumbs.put(PICTURE)
