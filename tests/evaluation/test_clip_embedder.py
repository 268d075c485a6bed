"""open_clip models as embedders: shipped, as bare weights, and what is refused."""

import numpy as np
import open_clip
import pytest
from safetensors.torch import save_file

from director_diffusion.errors import ModelError
from director_diffusion.evaluation.encoders.embedder import ClipEmbedder
from director_diffusion.specs import Embedder, FolderSource
from tests.evaluation.bench import BLUE, RED, picture

MINI = Embedder(model="mini", source=FolderSource(kind="folder", folder="models/mini/embedder"))


def test_vectors_have_length_one_and_do_not_depend_on_their_batch(mini_embedder):
    embedder = ClipEmbedder(mini_embedder, MINI, device="cpu")
    images = [picture(BLUE, 1), picture(RED, 2)]
    both, alone = embedder.images(images), embedder.images(images[1:])
    assert both.dtype == np.float32
    assert np.linalg.norm(both, axis=1) == pytest.approx([1, 1])
    assert both[1] == pytest.approx(alone[0], abs=1e-5)
    texts = embedder.texts(["a house", "a car"])
    assert np.linalg.norm(texts, axis=1) == pytest.approx([1, 1])
    assert not np.allclose(texts[0], texts[1])


def test_bare_weights_are_loaded_as_the_architecture_that_the_spec_names(tmp_path):
    model = open_clip.CLIP(**open_clip.get_model_config("ViT-S-32-alt"))
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, tmp_path / "weights.safetensors")
    spec = Embedder(model="ViT-S-32-alt", source=FolderSource(kind="folder", folder="weights"))
    assert ClipEmbedder(tmp_path, spec, device="cpu").texts(["a house"]).shape == (1, 256)


def test_a_folder_that_is_no_open_clip_model_is_refused(tmp_path, mini_embedder):
    with pytest.raises(ModelError, match="0 weights files"):
        ClipEmbedder(tmp_path, MINI, device="cpu")
    (tmp_path / "open_clip_config.json").write_bytes((mini_embedder / "open_clip_config.json").read_bytes())
    with pytest.raises(ModelError, match="cannot be loaded"):
        ClipEmbedder(tmp_path, MINI, device="cpu")
    (tmp_path / "open_clip_model.safetensors").write_bytes(b"not weights")
    with pytest.raises(ModelError, match="cannot be loaded"):
        ClipEmbedder(tmp_path, MINI, device="cpu")
