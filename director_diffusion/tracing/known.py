"""What is known of an adapter, as plain data.

Belongs here: what a trace back holds.  How it is found out is `backward`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from director_diffusion.publishing.sign_offs import SignOff
from director_diffusion.releases.record import Release


@dataclass(frozen=True)
class StillUsed:
    """A still that the adapter learned from, that chose its step, or that was held out of it."""

    still: str
    split: str
    film: str
    file: str
    sha256: str  # of the file that people brought
    caption: str
    caption_by: str
    caption_sha256: str = ""  # where no more is known of it


@dataclass(frozen=True)
class Stage:
    """An artifact on the way."""

    asset: str
    key: str
    version: str
    code_version: str


@dataclass(frozen=True)
class Judgement:
    """A verdict on this adapter."""

    asset: str
    key: str
    outcome: str
    reasons: tuple[str, ...]
    effects: tuple[Mapping[str, Any], ...]
    style: str  # the metric that it calls style; "" where it does not say

    @property
    def judged(self) -> tuple[Mapping[str, Any], ...]:
        """Effects that the verdict goes by; all where it does not say which."""
        return tuple(one for one in self.effects if not self.style or one["metric"] in (self.style, "prompt"))


@dataclass(frozen=True)
class Trace:
    """All that is known of an adapter."""

    given: str
    sha256: str
    adapter_version: str
    director: str
    recipe: str
    training: str
    step: str
    strength: str
    chosen_by: str
    trigger: str
    seed: str
    base: Mapping[str, str]
    began_with: str  # the adapter version that its training started from, or ""
    recipe_spec: Mapping[str, Any]
    packages: Mapping[str, str]
    stages: tuple[Stage, ...]
    stills: tuple[StillUsed, ...]
    judgements: tuple[Judgement, ...]
    sign_offs: tuple[SignOff, ...]
    publications: tuple[Mapping[str, Any], ...]
    releases: tuple[Release, ...]  # the whole record's entries of this version
    live: bool
    lacking: tuple[str, ...]  # in sentences
    header: Mapping[str, str]
    provenance: Mapping[str, Any] | None
