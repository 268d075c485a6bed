"""Packages: the versions of what decides numbers, and packages that only some recipes need.

Belongs here: which packages those are.
"""

from importlib.metadata import version
from importlib.util import find_spec

from director_diffusion.errors import ModelError

PACKAGES = ("diffusers", "director-diffusion", "open_clip_torch", "peft", "safetensors", "torch", "transformers")


def package_versions() -> dict[str, str]:
    """Installed versions, by package."""
    return {name: version(name) for name in PACKAGES}


def require_bitsandbytes(asked_by: str) -> None:
    """Raise ModelError where bitsandbytes is not installed.

    It is left out of the usual installation: peft imports it wherever it is, which costs every start seconds.
    """
    if find_spec("bitsandbytes") is None:
        raise ModelError(asked_by, "needs the package bitsandbytes, which is not installed", "make install-quantised")
