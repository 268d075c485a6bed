"""A repository's folder as small as one can be that may be published, for tests of hubs."""

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from director_diffusion.training.rows import WEIGHTS

CARD = """---
license: apache-2.0
base_model: director-diffusion/mini
library_name: diffusers
pipeline_tag: text-to-image
instance_prompt: nolan style
tags: [text-to-image, lora]
widget:
- text: nolan style, a car on a street
  output: {url: images/sample-00.png}
---

# Christopher Nolan
"""


def small_repository(folder: Path, seed: int = 0) -> Path:
    """Card, notice, a picture and weights; another seed gives other weights and another picture."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers = np.random.default_rng(seed)
    weights = {"transformer.x.lora_A.weight": numbers.normal(size=(16, 64)).astype(np.float32)}
    save_file(weights, folder / WEIGHTS, {"seed": str(seed)})
    (folder / "README.md").write_text(CARD)
    (folder / "NOTICE").write_text("This adapter is a derivative.\n")
    (folder / "images").mkdir(exist_ok=True)
    (folder / "images/sample-00.png").write_bytes(b"\x89PNG\r\n\x1a\n" + numbers.bytes(400))
    return folder
