"""No pickle and no remote code: whatever lies in a model's folder, nothing of it runs."""

import ast
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FluxTransformer2DModel

from director_diffusion.captions.folder import check_captioner_folder
from director_diffusion.errors import ModelError
from director_diffusion.evaluation.encoders.embedder import ClipEmbedder
from director_diffusion.evaluation.encoders.image_encoder import TimmEncoder
from director_diffusion.families import get_family
from director_diffusion.families.loading import load_frozen
from director_diffusion.specs import Embedder, FolderSource, HubSource, ImageEncoder

ROOT = Path(__file__).parents[2]
HARMLESS = ("Tokenizer", "TokenizerFast", "Scheduler", "Processor")  # classes that have no weights
READERS, RISKS = {"load", "load_state_dict_from_url", "from_pretrained", "list"}, {"trust_remote_code", "allow_pickle"}
PICKLING = {"pickle", "joblib", "dill", "cloudpickle", "shelve", "marshal"}


def sources() -> Iterator[tuple[Path, ast.Module]]:
    for floor in ("director_diffusion", "resources", "assets_defs", "pipelines"):
        for path in sorted((ROOT / floor).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            if any(
                word in text for word in (*PICKLING, *RISKS, "torch.load", "torch.hub", "torch.jit", "from_pretrained")
            ):  # parsing takes a while
                yield path, ast.parse(text)


def test_every_loading_place_says_what_it_may_read() -> None:
    """What ruff has no rule for (its S rules are the others)."""
    wrong, seen = [], 0
    for path, tree in sources():
        for node in ast.walk(tree):
            at = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in PICKLING:
                wrong += [] if node.attr == "UnpicklingError" else [f"{at} {node.value.id}.{node.attr}"]
            if isinstance(node, ast.ImportFrom) and node.module in PICKLING:
                wrong.append(f"{at} from {node.module}")
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if node.func.attr not in READERS and not {one.arg for one in node.keywords} & RISKS:
                continue
            called, given = ast.unparse(node.func), {one.arg: ast.unparse(one.value) for one in node.keywords}
            if given.get("trust_remote_code", "False") != "False" or given.get("allow_pickle", "False") != "False":
                wrong.append(f"{at} {called}")
            if called == "torch.load" and given.get("weights_only") != "True":
                wrong.append(f"{at} {called} without weights_only=True")
            if called.startswith(("torch.hub.", "torch.jit.load")):
                wrong.append(f"{at} {called}")
            if node.func.attr == "from_pretrained" and not ast.unparse(node.func.value).endswith(HARMLESS):
                seen += 1
                if (given.get("use_safetensors"), given.get("local_files_only")) != ("True", "True"):
                    wrong.append(f"{at} {called} without use_safetensors=True, local_files_only=True")
    assert wrong == []
    assert seen > 5, "the places were found"


class Evil:
    """Runs a command where it is read as a pickle."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """What a pickle that runs leaves."""
    return tmp_path / "it-ran"


def pickled(path: Path, mark: Path) -> Path:
    torch.save(Evil(mark), path)
    return path


def test_the_pickle_would_run(tmp_path: Path, mark: Path) -> None:
    torch.load(pickled(tmp_path / "x.bin", mark), weights_only=False)
    assert mark.is_dir()


def test_a_base_of_pickles_is_refused(tmp_path: Path, mark: Path, mini_base: Path) -> None:
    folder = shutil.copytree(mini_base, tmp_path / "base")
    (folder / "transformer" / "diffusion_pytorch_model.safetensors").unlink()
    pickled(folder / "transformer" / "diffusion_pytorch_model.bin", mark)
    with pytest.raises(ModelError, match=r"transformer/ lacks diffusion_pytorch_model\.safetensors"):
        get_family("flux").check_folder(folder)
    with pytest.raises(OSError, match=r"diffusion_pytorch_model\.safetensors"):
        load_frozen(FluxTransformer2DModel, folder / "transformer", device="cpu", dtype=torch.float32, quantised=None)
    index = {"weight_map": {"x_embedder.weight": "diffusion_pytorch_model.bin"}, "metadata": {}}
    (folder / "transformer" / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match="pickles may run code"):
        get_family("flux").check_folder(folder)
    assert not mark.exists()


def test_a_captioner_whose_index_names_a_pickle_is_refused(tmp_path: Path, mark: Path, mini_captioner: Path) -> None:
    folder = shutil.copytree(mini_captioner, tmp_path / "captioner")
    (folder / "model.safetensors").unlink()
    pickled(folder / "model.bin", mark)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "model.bin"}}))
    with pytest.raises(ModelError, match="pickles may run code"):
        check_captioner_folder(folder)
    assert not mark.exists()


FOLDER = FolderSource(kind="folder", folder="x")
HUB = HubSource(kind="hub", repo="a/b", revision="0" * 40, weights="pytorch_model.bin")


def _open_clip(folder: Path, source: FolderSource | HubSource) -> object:
    return ClipEmbedder(folder, Embedder(model="ViT-B-32", source=source), device="cpu")


def _timm(folder: Path, source: FolderSource | HubSource) -> object:
    return TimmEncoder(folder, ImageEncoder(model="test_vit", source=source), device="cpu")


@pytest.mark.parametrize(
    ("load", "config", "file", "source"),
    [
        (_open_clip, "open_clip_config.json", "open_clip_pytorch_model.bin", FOLDER),
        (_open_clip, "open_clip_config.json", "model.pth", FOLDER),
        (_open_clip, None, "weights.pt", FOLDER),
        (_open_clip, None, "pytorch_model.bin", HUB),
        (_timm, "config.json", "pytorch_model.bin", HUB),
        (_timm, None, "pytorch_model.bin", HUB),
    ],
)
def test_an_encoder_of_a_pickle_is_refused(
    load: Callable[[Path, FolderSource | HubSource], object],
    config: str | None,
    file: str,
    source: FolderSource | HubSource,
    tmp_path: Path,
    mark: Path,
    mini_embedder: Path,
) -> None:
    folder = tmp_path / "encoder"
    folder.mkdir()
    if config is not None:
        shutil.copy(mini_embedder / "open_clip_config.json", folder / config)
    pickled(folder / file, mark)
    with pytest.raises(ModelError, match="pickles may run code"):
        load(folder, source)
    assert not mark.exists()
