"""Output files: what the disk refuses is told of the option that named it, and nothing else is."""

import errno
from pathlib import Path

import pytest

from director_diffusion.errors import SpecError
from pipelines.cli.out_file import check_writable, put_in_place


def test_what_the_disk_refuses_names_the_option(tmp_path: Path) -> None:
    for target in (tmp_path, tmp_path / "none" / "x.png"):
        with pytest.raises(
            SpecError, match=r"cannot be written: .*\. Give another --outdir, in a folder that is there"
        ):
            check_writable(target, "--outdir")
    with pytest.raises(SpecError, match="Give another --outdir"), put_in_place(tmp_path, "--outdir") as partial:
        partial.write_text("x")
    with (
        pytest.raises(SpecError, match=r"x\.png: cannot be written: No such file or directory"),
        put_in_place(tmp_path / "none" / "x.png", "--out") as partial,
    ):
        partial.write_text("x")
    with pytest.raises(SpecError, match="No space left"), put_in_place(tmp_path / "x.png", "--out"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "error", [OSError("encoder error -2"), FileNotFoundError(errno.ENOENT, "No such file", "adapter.safetensors")]
)
def test_what_fails_beside_the_file_is_not_told_as_the_files(tmp_path: Path, error: OSError) -> None:
    def fail() -> None:
        with put_in_place(tmp_path / "x.png", "--out") as partial:
            partial.write_text("half")
            raise error

    with pytest.raises(OSError, match=r"encoder error|No such file") as caught:
        fail()
    assert caught.value is error
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_there_whole(tmp_path: Path) -> None:
    with put_in_place(tmp_path / "x.png", "--out") as partial:
        partial.write_text("whole")
        assert not (tmp_path / "x.png").exists()
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("x.png", "whole")]
