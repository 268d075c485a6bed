"""Fingerprints of encoders: what a vector depends on, beside its picture.

Belongs here: the versions, raised by hand when the same picture or text would give another vector, and their way into
the cache's names and the evaluation's key.  Imports no torch.
"""

from typing import Literal

from director_diffusion.hashing import hash_data

Kind = Literal["clip", "timm", "csd", "look", "yes_no"]
VERSIONS: dict[Kind, int] = {"clip": 1, "timm": 1, "csd": 1, "look": 1, "yes_no": 1}


def encoder_fingerprint(kind: Kind, *, source: str = "", **settings: str | int) -> str:
    """Names an encoder's content: the fingerprint of its `source`, and what of its spec decides a vector."""
    return hash_data({"kind": kind, "version": VERSIONS[kind], "source": source, "settings": settings})
