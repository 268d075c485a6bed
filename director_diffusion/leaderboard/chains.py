"""Chains: which assets of a recipe say something of an adapter, and of what they must be made to say it of this one.

Belongs here: names, and that question.  Imports nothing heavy.
"""

from collections.abc import Mapping
from itertools import pairwise

from director_diffusion.storage import Artifact

Chain = tuple[str, ...]  # assets of a recipe by their last names, each made of the next

OWN: tuple[Chain, ...] = (("release_evaluation", "release_samples", "adapter"), ("evaluation", "samples", "adapter"))
JOINT: tuple[Chain, ...] = (("joint_evaluation", "joint_samples", "joint_adapter"),)
TURBO: tuple[Chain, ...] = (("turbo_evaluation", "turbo_samples", "turbo_adapter", "adapter"),)
VOTES: Chain = ("votes", "evaluation", "samples", "adapter")

ENDS = tuple(chain[0] for chain in (OWN[0], *JOINT, *TURBO, VOTES))
"""What is said last; what comes before, a draft among it, is followed by one of these."""


def assets_of(*chains: Chain) -> tuple[str, ...]:
    """All that stand in them."""
    return tuple(dict.fromkeys(name for chain in chains for name in chain))


def is_whole(recipe: str, made: Mapping[str, Artifact], chain: Chain) -> bool:
    """Whether all are there, each made of what there is of the next."""
    return all(name in made for name in chain) and all(
        made[one].manifest.inputs.get(f"{recipe}/{of}") == made[of].version for one, of in pairwise(chain)
    )
