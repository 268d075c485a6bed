"""Gathering: the material of an evaluation, of the artifacts that it is judged by.

Belongs here: which file of which artifact says what.
"""

from collections.abc import Mapping

from director_diffusion.evaluation.encoders.opened import Encoders
from director_diffusion.evaluation.material import Material
from director_diffusion.evaluation.published_before import before_of
from director_diffusion.evaluation.references import FILE as REFERENCE_FILE
from director_diffusion.evaluation.references import rivals_of
from director_diffusion.sampling.canary import FILE as CANARY_FILE
from director_diffusion.sampling.canary import Canary
from director_diffusion.sampling.rows import DRAWING_FILE, FILE, Sample
from director_diffusion.specs import EvaluationPlan
from director_diffusion.stills.learned import FILE as LEARNED_FILE
from director_diffusion.stills.learned import decode_learned
from director_diffusion.stills.still_set import StillSet
from director_diffusion.storage import Artifact


def gather_material(
    director: str,
    plan: EvaluationPlan,
    encoders: Encoders,
    *,
    samples: Artifact,
    stills: Artifact,
    canary: Artifact,
    references: Mapping[str, Artifact],
    published_before: Artifact | None,
) -> Material:
    """Samples of `director`'s adapter and what they are judged beside; `references` are reference sets by slug."""
    others = {slug: one.json(REFERENCE_FILE) for slug, one in references.items()}
    sung = Canary.read(canary.read(CANARY_FILE))
    return Material(
        samples=tuple(samples.table(FILE, Sample)),
        learned=decode_learned(samples.read(LEARNED_FILE)),
        drawing=samples.json(DRAWING_FILE)["drawing"],
        still_set=StillSet.of(stills),
        rivals=rivals_of(director, others, plan, encoders),
        before=before_of(published_before) if published_before is not None else None,
        drift=sung.words if sung.drifted else "",
    )
