"""The loopback Hub as its users meet it: huggingface_hub's own uploads, and diffusers that loads what was published."""

from collections.abc import Iterator
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError
from huggingface_hub.utils._xet import abort_xet_session
from small_repository import small_repository

from director_diffusion.publishing.hub_server import HubServer
from director_diffusion.publishing.publish import publish
from director_diffusion.training.rows import WEIGHTS
from tests.loopback_hub.server import LoopbackHub

ID = "studio/nolan-mini_lora"


@pytest.fixture
def loopback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    """A Hub that this process takes for the Hub, as HF_ENDPOINT would make a new one do."""
    with LoopbackHub(tmp_path / "loopback") as hub:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.endpoint)
        monkeypatch.setattr(
            huggingface_hub.constants,
            "HUGGINGFACE_CO_URL_TEMPLATE",
            hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}",
        )
        yield hub


@pytest.fixture
def api(loopback: LoopbackHub) -> HfApi:
    return HfApi(endpoint=loopback.endpoint, token=loopback.token)


@pytest.fixture
def without_xet(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[bool]:
    """Whether hf_xet is disabled; where it is not, it has a session and a cache of its own."""
    monkeypatch.setenv("HF_XET_CACHE", str(tmp_path / "xet-cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", request.param)
    abort_xet_session()
    yield request.param
    abort_xet_session()


both = pytest.mark.parametrize("without_xet", [True, False], indirect=True, ids=["without xet", "with xet"])


@both
def test_a_folder_goes_up_and_comes_down(api: HfApi, tmp_path: Path, loopback: LoopbackHub, without_xet: bool) -> None:
    folder = small_repository(tmp_path / "repo")
    assert api.whoami()["name"] == "studio"
    api.create_repo(ID, private=True)
    api.upload_folder(repo_id=ID, folder_path=folder, commit_message="Upload")
    api.create_tag(ID, tag="v1")
    down = Path(api.snapshot_download(ID, revision="v1", local_dir=tmp_path / "down"))
    for name in ("README.md", WEIGHTS, "images/sample-00.png"):
        assert (down / name).read_bytes() == (folder / name).read_bytes()
    assert loopback.count("lfs put") == (1 if without_xet else 0)
    assert loopback.count("xet shard") == loopback.count("xet data") == (0 if without_xet else 1)
    assert sorted(api.list_repo_files(ID)) == sorted([".gitattributes", *loopback[ID].contents()])
    api.delete_tag(ID, tag="v1")
    assert api.list_repo_refs(ID).tags == []


def test_a_private_repository_is_hidden_from_strangers(api: HfApi, loopback: LoopbackHub) -> None:
    api.create_repo(ID, private=True)
    stranger = HfApi(endpoint=loopback.endpoint, token=False)
    with pytest.raises(HfHubHTTPError, match="401"):
        stranger.model_info(ID)
    with pytest.raises(RepositoryNotFoundError):
        api.model_info("studio/another")


@both
def test_diffusers_draws_with_what_was_published_as_with_the_file(
    mini_base: Path, loopback: LoopbackHub, tmp_path: Path, without_xet: bool
) -> None:
    import torch
    from diffusers import FluxPipeline, FluxTransformer2DModel
    from peft import LoraConfig, get_peft_model_state_dict

    repo = small_repository(tmp_path / "repo")
    denoiser = FluxTransformer2DModel.from_pretrained(mini_base / "transformer")
    denoiser.add_adapter(LoraConfig(r=2, lora_alpha=2, target_modules=["to_q"], init_lora_weights=False))
    FluxPipeline.save_lora_weights(repo, transformer_lora_layers=get_peft_model_state_dict(denoiser))
    publication = publish(repo, HubServer(loopback.endpoint, loopback.token), ID, tag="v1")

    pipeline = FluxPipeline.from_pretrained(mini_base, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)

    def drawn() -> np.ndarray:
        seeded = torch.Generator().manual_seed(0)
        images = pipeline("a car", height=64, width=64, num_inference_steps=1, generator=seeded, output_type="np")
        return images.images

    bare = drawn()
    pipeline.load_lora_weights(repo / WEIGHTS)
    local = drawn()
    pipeline.unload_lora_weights()
    pipeline.load_lora_weights(
        ID, weight_name=WEIGHTS, revision=publication.tag, token=loopback.token, cache_dir=tmp_path / "cache"
    )
    np.testing.assert_array_equal(drawn(), local)
    assert not np.array_equal(local, bare)
    assert loopback.count("resolve") >= 2
