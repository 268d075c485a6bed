"""A studio over adapters of random weights, and a server of it on loopback."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
import uvicorn
from safetensors.torch import save

from director_diffusion.distillation.rows import weights_file
from director_diffusion.publishing.publish import FILE
from director_diffusion.publishing.repository import REPO
from director_diffusion.storage import Store
from director_diffusion.studio.server import build_server
from director_diffusion.studio.studio import Studio
from director_diffusion.training.rows import WEIGHTS
from pipelines.cli.app import GRADIO
from pipelines.studio import build_studio
from pipelines.surroundings import read_surroundings
from tests.lineages import Lineage, sample
from tests.small_configs import change, small_configs, surroundings_of
from tests.studio.curated_fixtures import curated, curated_once, looked_at
from tests.studio.visitor import PATIENCE_S, Visitor

__all__ = ["curated", "curated_once", "looked_at"]

RECIPE = "mini_lora"
CARD = """---
license: apache-2.0
---

# Nolan's card

![A picture](images/one.png) ![Not of this card](../../../secret.png) <script>alert(1)</script>
"""


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory, mini_base: Path) -> Studio:
    """Nolan and Fincher have adapters, Nolan a student of two steps and a card; Villeneuve has nothing."""
    folder = tmp_path_factory.mktemp("studio")
    change(small_configs(folder), "projects/demo", directors=["nolan", "fincher", "villeneuve"])
    store = Store(str(folder / "store"))
    for seed, director in enumerate(("nolan", "fincher")):
        lineage = Lineage(store, director)
        adapter = lineage.make((RECIPE, "adapter"), {}, files={WEIGHTS: _weights(mini_base, seed)})
        if director == "nolan":
            student = {weights_file(2): _weights(mini_base, 7)}
            lineage.make((RECIPE, "turbo_adapter"), {f"{RECIPE}/adapter": adapter}, files=student)
            verdict = json.dumps({"verdict": {"outcome": "pass"}}).encode()
            card = {"README.md": CARD.encode(), "evaluation.json": verdict, "images/one.png": sample(3)}
            lineage.make((RECIPE, "model_card"), {}, files={f"{REPO}/{name}": data for name, data in card.items()})
            state = {"status": "withheld", "reason": "<b>why</b>", "repo_id": "us/nolan", "commit": "", "folder": ""}
            lineage.make((RECIPE, "published_model"), {}, json_files={FILE: state})
    return build_studio(read_surroundings(surroundings_of(folder)))


def _weights(base: Path, seed: int) -> bytes:
    """A LoRA of one attention layer per block."""
    config = json.loads((base / "transformer" / "config.json").read_text())
    width, rng = config["num_attention_heads"] * config["attention_head_dim"], torch.Generator().manual_seed(seed)
    weights: dict[str, torch.Tensor] = {}
    for block in range(config["num_layers"]):
        layer = f"transformer.transformer_blocks.{block}.attn.to_q"
        weights[f"{layer}.lora_A.weight"] = torch.randn(2, width, generator=rng)
        weights[f"{layer}.lora_B.weight"] = torch.randn(width, 2, generator=rng)
    return save(weights, {})


@pytest.fixture(scope="session")
def address(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the studio is served."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**GRADIO, "GRADIO_TEMP_DIR": str(tmp_path_factory.mktemp("gradio"))}.items():
            patch.setenv(name, value)
        yield from served(build_server(studio))


def served(app: Any) -> Iterator[str]:
    """The address of an app while it is served from a thread of this process."""
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, log_level="warning", access_log=False, timeout_graceful_shutdown=1
    )
    server, socket = uvicorn.Server(config), config.bind_socket()
    thread = threading.Thread(target=server.run, args=([socket],), daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield f"http://127.0.0.1:{socket.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def visitor(address: str) -> Iterator[Visitor]:
    with httpx.Client(base_url=address, timeout=PATIENCE_S) as client:
        yield Visitor(client)
