"""Following: which steps of a lineage lead from an artifact to what came of it.

Belongs here: where to stop.  An input that a stage only looked at is in its manifest like any other.
"""

from collections.abc import Iterable

from director_diffusion.storage import Artifact
from director_diffusion.storage.ancestry import LOOKED_AT, Ancestry
from director_diffusion.training.rows import ADAPTERS


def came_of_stills(ancestry: Ancestry, starts: Iterable[Artifact]) -> list[Artifact]:
    """All that depends on these, in lineage order: with adapters that began with others, and with other directors'."""
    return ancestry.descendants(starts, gathered=True, stop=lambda user: user.manifest.asset[-1] in LOOKED_AT)


def came_of_adapter(ancestry: Ancestry, adapter: Artifact) -> list[Artifact]:
    """Its pictures, verdicts, cards and publications in the order in which they were made, and no other adapter's."""
    found = ancestry.descendants(
        [adapter],
        gathered=adapter.manifest.partition is None,
        stop=lambda user: user.manifest.asset[-1] in (*LOOKED_AT, *ADAPTERS),
    )
    return sorted(found, key=lambda artifact: artifact.manifest.made)
