"""Pictures: the groups that a base's spec asks for, whatever their source.

Belongs here: the dispatch over the kinds of data.
"""

from director_diffusion.errors import DataError
from director_diffusion.models.source import hub_cache
from director_diffusion.pretraining.data import Group
from director_diffusion.pretraining.drawn import drawn_splits, grouped
from director_diffusion.pretraining.images import load_images
from director_diffusion.pretraining.keys import data_fingerprint
from director_diffusion.pretraining.part_run import PartRun, trained_here
from director_diffusion.pretraining.specs import DrawnPart, DrawnScenes
from director_diffusion.specs import Base


def load_groups(base: Base, part: DrawnPart, run: PartRun) -> tuple[list[Group], list[Group]]:
    """Pictures to train on, and held out from it, at the base's resolution.

    Raises DataError where image files are no longer what the part's key was made of.
    """
    spec = trained_here(base)
    if isinstance(spec.data, DrawnScenes):
        training, held_out = drawn_splits(base, part, run)
        return grouped(training), grouped(held_out)
    loaded = load_images(
        spec.data,
        base.resolution,
        spec.channels,
        root=run.root,
        cache=hub_cache(run.cache),
        token=run.token,
        progress=run.progress,
    )
    if data_fingerprint(spec.data, root=run.root, cache=run.cache) != run.data:
        raise DataError(
            base.slug, "has data that changed while it was being read", "Run again: it will be named by what it is now."
        )
    return loaded
