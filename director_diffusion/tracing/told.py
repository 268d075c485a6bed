"""Told: what a card's provenance.json tells by itself, where no store knows the adapter.

Belongs here: reading that file, which names stills and captions by their hashes alone.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from director_diffusion.publishing.sign_offs import SignOff
from director_diffusion.tracing.known import Stage, StillUsed

Provenance = Mapping[str, Any] | None


def told_stills(provenance: Provenance) -> tuple[StillUsed, ...]:
    """A row for every still, the learned ones first."""
    found = [
        StillUsed(
            still=one["still"],
            split=one["split"],
            film="",
            file="",
            sha256=one["sha256"],
            caption="",
            caption_by="",
            caption_sha256=one.get("caption", ""),
        )
        for one in told_hashes(provenance) or ()
    ]
    return tuple(sorted(found, key=lambda still: (still.split != "train", still.split, still.still)))


def told_hashes(provenance: Provenance) -> list[Mapping[str, str]] | None:
    """Of the stills; None where it says nothing of them."""
    found: list[Mapping[str, str]] | None = (provenance or {}).get("data", {}).get("hashes")
    return found


def told_stages(provenance: Provenance) -> tuple[Stage, ...]:
    """With the code versions that made them."""
    names = [field.name for field in fields(Stage)]
    return tuple(Stage(**{name: one[name] for name in names}) for one in (provenance or {}).get("stages", ()))


def told_sign_offs(provenance: Provenance) -> tuple[SignOff, ...]:
    """The one under which it went out, or none."""
    found = (provenance or {}).get("sign_off")
    return () if found is None else (SignOff(**found),)
