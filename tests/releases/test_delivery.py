"""Delivered files: what a reader of the folder may see, wherever a delivery is cut off."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from director_diffusion.errors import ModelError
from director_diffusion.hashing import hash_bytes
from director_diffusion.releases.delivery import (
    VERSION,
    WORKFLOW,
    Delivery,
    deliver,
    delivered_version,
    weights_name,
    workflow_hash,
    workflow_name,
)
from director_diffusion.releases.header import stored_header, tensors_sha256, with_metadata
from director_diffusion.storage import Store

NAME = "nolan-lora"


class CutOffError(Exception):
    """The end of a process."""


class Failing(Store):
    """A store whose changes end before or after the one of that number."""

    def __init__(self, url: str, at: int, *, after: bool):
        super().__init__(url)
        self.at, self.after, self.changes = at, after, 0

    def _change(self, change: Callable[[], None]) -> None:
        self.changes += 1
        if self.changes == self.at and not self.after:
            raise CutOffError
        change()
        if self.changes == self.at:
            raise CutOffError

    def write(self, name: str, data: bytes) -> None:
        self._change(lambda: Store.write(self, name, data))

    def put(self, source: Path, name: str) -> None:
        self._change(lambda: Store.put(self, source, name))

    def delete(self, name: str) -> None:
        self._change(lambda: Store.delete(self, name))


def delivery(folder: Path, version: str, workflow: dict[str, Any] | None) -> Delivery:
    graph = None if workflow is None else json.dumps(workflow).encode()
    plain, weights = folder / f"{version}.plain", folder / f"{version}.safetensors"
    save_file({"x": np.full(3, len(version), np.float32)}, plain)
    with_metadata(plain, weights, {VERSION: version, WORKFLOW: workflow_hash(graph)})
    return Delivery(NAME, weights, graph, "" if graph else "no base")


def seen(folder: Store) -> tuple[str, bytes | None]:
    """What a reader finds: the adapter's version, and the workflow."""
    workflow = folder.read(workflow_name(NAME)) if folder.exists(workflow_name(NAME)) else None
    return stored_header(folder, weights_name(NAME))[VERSION], workflow


@pytest.mark.parametrize("protocol", ["file", "memory"])
@pytest.mark.parametrize(("first", "second"), [("a", "b"), ("a", "a"), (None, "b"), ("a", None), (None, None)])
@pytest.mark.parametrize("after", [False, True])
def test_a_delivery_cut_off_anywhere_mixes_nothing_and_is_finished_by_the_next(
    tmp_path: Path, first: str | None, second: str | None, after: bool, protocol: str
) -> None:
    graphs = [None if word is None else {"1": word} for word in (first, second)]
    old, new = (delivery(tmp_path, version, graph) for version, graph in zip(("old", "new"), graphs, strict=True))
    for at in range(1, 5):
        url = f"memory://cut-{tmp_path.name}-{at}" if protocol == "memory" else str(tmp_path / f"folder-{at}")
        deliver(Store(url), old)
        assert seen(Store(url)) == ("old", old.workflow)
        cut = Failing(url, at, after=after)
        try:
            deliver(cut, new)
        except CutOffError:
            version, workflow = seen(Store(url))
            assert version in ("old", "new")
            assert workflow in (None, (old if version == "old" else new).workflow)
            whole = workflow == (old if version == "old" else new).workflow
            assert delivered_version(Store(url), NAME) == (version if whole else "")
        else:
            assert cut.changes < at, "every change was cut off once"
        deliver(Store(url), new)
        assert seen(Store(url)) == ("new", new.workflow)
        assert delivered_version(Store(url), NAME) == "new"
        leftovers = [name for name in Store(url).names("loras") if name != f"{NAME}.safetensors"]
        assert leftovers == []
    assert cut.changes < 4


def test_a_workflow_that_stays_as_it_is_is_not_touched(tmp_path: Path) -> None:
    folder = Failing(str(tmp_path / "folder"), 0, after=False)
    deliver(folder, delivery(tmp_path, "old", {"1": "a"}))
    assert folder.changes == 2
    deliver(folder, delivery(tmp_path, "new", {"1": "a"}))
    assert folder.changes == 3, "one replacement is all"


def test_what_lies_there_is_told_by_the_folder_itself(tmp_path: Path) -> None:
    folder = Store(str(tmp_path / "folder"))
    assert delivered_version(folder, NAME) == ""
    deliver(folder, delivery(tmp_path, "one", {"1": "a"}))
    assert delivered_version(folder, NAME) == "one"
    folder.write(workflow_name(NAME), b"{}")
    assert delivered_version(folder, NAME) == "", "somebody has changed the workflow"
    folder.write(weights_name(NAME), b"not a safetensors file, but long enough")
    assert delivered_version(folder, NAME) == ""
    with pytest.raises(ModelError, match="is no safetensors file"):
        stored_header(folder, weights_name(NAME))
    deliver(folder, delivery(tmp_path, "two", {"1": "a"}))
    assert delivered_version(folder, NAME) == "two"


def test_a_header_is_written_anew_without_touching_the_tensors(tmp_path: Path) -> None:
    source, out, again = (tmp_path / f"{name}.safetensors" for name in ("source", "out", "again"))
    tensors = {"b": np.arange(6, dtype=np.float16).reshape(2, 3), "a": np.ones(5, np.float32)}
    save_file(tensors, source, {"kept": "é", "changed": "before"})
    with_metadata(source, out, {"changed": "after", "added": "x" * 1000})
    with_metadata(source, again, {"added": "x" * 1000, "changed": "after"})
    assert out.read_bytes() == again.read_bytes()
    assert tensors_sha256(out) == tensors_sha256(source)
    assert all(np.array_equal(load_file(out)[name], tensor) for name, tensor in tensors.items())
    with safe_open(out, framework="numpy") as file:
        assert file.metadata() == {"kept": "é", "changed": "after", "added": "x" * 1000}
    data = out.read_bytes()
    header = 8 + int.from_bytes(data[:8], "little")
    assert hash_bytes(data[header:]) == tensors_sha256(out)
    assert header % 8 == 0
    assert stored_header(Store(str(tmp_path)), "out.safetensors")["kept"] == "é"
