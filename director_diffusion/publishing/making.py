"""Making: the stages behind an adapter, as their manifests tell.

Belongs here: following inputs from the artifacts that a card is made of.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from director_diffusion.storage import Artifact, Store
from director_diffusion.storage.artifact import is_made, latest_artifact


@dataclass(frozen=True)
class StageMade:
    """One artifact on the way."""

    asset: str
    key: str
    version: str
    code_version: str
    seconds: float  # wall clock, when it was made


def stages_behind(artifacts: Iterable[Artifact]) -> tuple[StageMade, ...]:
    """These artifacts and all that they were made of, in the order of making where one needs another.

    An input that has been made anew since is not followed: the store's readers see another content by now.
    """
    found: dict[str, Artifact] = {}
    level = list(artifacts)
    while level:
        for artifact in level:
            name = "/".join(artifact.manifest.asset)
            found.pop(name, None)  # what is reached later stands later: before all that is made of it, once reversed
            found[name] = artifact
        level = list({one.folder: one for artifact in level for one in _inputs(artifact)}.values())
    return tuple(_told(artifact) for artifact in reversed(found.values()))


def _inputs(artifact: Artifact) -> list[Artifact]:
    manifest = artifact.manifest
    named = (
        (_latest(artifact.store, tuple(name.split("/")), manifest.partition), version)
        for name, version in manifest.inputs.items()
    )
    return [one for one, version in named if one is not None and one.version == version]


def _latest(store: Store, asset: tuple[str, ...], partition: str | None) -> Artifact | None:
    if not is_made(store, asset, partition):
        return None  # such as an input of another partition
    return latest_artifact(store, asset, partition)


def _told(artifact: Artifact) -> StageMade:
    manifest = artifact.manifest
    return StageMade("/".join(manifest.asset), manifest.key, manifest.version, manifest.code_version, manifest.seconds)
