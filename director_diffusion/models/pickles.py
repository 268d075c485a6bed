"""Pickles: files of weights that may run code when they are read, which nothing here reads.

Belongs here: refusing them, for whoever is about to give a file to a library that would read either kind.
"""

from pathlib import Path

from director_diffusion.errors import ModelError

SAFE = ".safetensors"
PICKLES = (".bin", ".pth", ".pt", ".ckpt")


def check_no_pickle(path: Path) -> None:
    """Raise ModelError for weights that are not called as safetensors are: by the name libraries choose how to read."""
    if path.suffix != SAFE:
        raise ModelError(
            str(path),
            "is no safetensors file, and pickles may run code when they are read",
            "Give the model's safetensors, or convert it: torch.load(weights_only=True), safetensors.torch.save_file.",
        )
