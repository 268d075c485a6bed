"""Reference set: what tells a director's style from the others'.

Belongs here: the stage that other directors' evaluations read.  What it holds is `director_diffusion.evaluation`'s.
"""

import dagster as dg

from assets_defs.common import encoders_of, models_of
from director_diffusion.evaluation.encoders.versions import VERSIONS
from director_diffusion.specs import EvaluationPlan, Project
from director_diffusion.storage import Artifact
from resources.needs import one_gpu
from resources.stage import stage
from resources.stage_run import StageResult, StageRun

REFERENCE_SET = "reference_set"


def reference_set_asset(
    partitions: dg.PartitionsDefinition, project: Project, plan: EvaluationPlan
) -> dg.AssetsDefinition:
    spec = getattr(plan, plan.style_by)

    @stage(
        partitions=partitions,
        group="evaluation",
        version="2",
        name=REFERENCE_SET,
        spec={"versions": VERSIONS, "style_by": plan.style_by, "encoder": spec},
        fingerprints=lambda resources: {"encoder": resources.models.fingerprint(spec.source)},
        after=models_of(spec.source),
        needs=one_gpu(),
        kinds={"pytorch", "json"},
    )
    def reference_set(run: StageRun, stills: Artifact) -> StageResult:
        """The mean of the held-out stills as the plan's encoder of style sees them, for others to be told from."""
        from director_diffusion.evaluation.references import write_reference
        from director_diffusion.stills.still_set import StillSet

        encoders = encoders_of(run, project, plan)
        count = write_reference(StillSet.of(stills), plan, encoders, run.out, run.progress)
        return run.result(facts={"held-out stills": count})

    return reference_set
