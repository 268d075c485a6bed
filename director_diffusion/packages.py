"""Packages: the versions of what decides numbers, and packages that only some recipes need.

Belongs here: which packages those are.
"""

from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from director_diffusion.errors import ModelError

PACKAGES = (
    "accelerate",
    "bitsandbytes",
    "diffusers",
    "director-diffusion",
    "open_clip_torch",
    "peft",
    "prodigyopt",
    "safetensors",
    "torch",
    "transformers",
)


DRAWING = ("diffusers", "torch", "transformers")
"""Of these, those that the pixels of a picture hang on."""


def package_versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Versions of those that are installed, by package."""
    found = {}
    for name in packages:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def require_bitsandbytes(asked_by: str) -> None:
    """Raise ModelError where bitsandbytes is not installed.

    It is left out of the usual installation: peft imports it wherever it is, which costs every start seconds.
    """
    if find_spec("bitsandbytes") is None:
        raise ModelError(asked_by, "needs the package bitsandbytes, which is not installed", "make install-quantised")
