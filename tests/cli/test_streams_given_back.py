"""What Dagster does not give back of a process's streams, where its files cannot be written any more."""

import errno
import os
from pathlib import Path

import pytest

from director_diffusion.errors import StoreError
from pipelines.cli.in_process import streams_given_back


def into_a_file_that_is_full(path: Path) -> None:
    """As Dagster's capture of a step's output leaves them."""
    log = os.open(path, os.O_WRONLY | os.O_CREAT)
    os.dup2(log, 2)
    os.close(log)
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_told_on_the_streams_there_were(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr", open(2, "w", closefd=False))  # noqa: SIM115  # a number, not a path
    with pytest.raises(StoreError, match="no space left"), streams_given_back():
        into_a_file_that_is_full(tmp_path / "log")
    os.write(2, b"why\n")
    assert capfd.readouterr().err == "why\n"
    assert (tmp_path / "log").read_bytes() == b""


def test_other_errors_stay_what_they_are(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OSError, match="odd"), streams_given_back():
        raise OSError(errno.EIO, "odd")
