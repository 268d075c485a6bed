"""Prior: what the base draws of this director's captions before it is taught the style.

Belongs here: the stage of a recipe that asks for prior preservation.  Drawing and encoding live in
`director_diffusion.prior`.
"""

import dagster as dg

from assets_defs.common import drawing_spec, models_of
from director_diffusion.captions.rows import FILE, Caption
from director_diffusion.latents.rows import ENCODING_VERSION as LATENTS_VERSION
from director_diffusion.prompts.rows import ENCODING_VERSION as PROMPTS_VERSION
from director_diffusion.sampling.rows import DRAWING_VERSION
from director_diffusion.specs import Base, Prior, Recipe
from director_diffusion.stills.rows import STILLS_FILE, Still
from director_diffusion.storage import Artifact
from resources.needs import one_gpu
from resources.stage import stage
from resources.stage_run import StageResult, StageRun


def prior_asset(partitions: dg.PartitionsDefinition, base: Base, recipe: Recipe, asked: Prior) -> dg.AssetsDefinition:
    @stage(
        partitions=partitions,
        prefix=recipe.slug,
        group=recipe.slug,
        version="1",
        # How much the pictures weigh is for the training alone.
        spec={
            "versions": [DRAWING_VERSION, LATENTS_VERSION, PROMPTS_VERSION],
            "base": drawing_spec(base),
            "prior": asked.model_dump(mode="json", exclude={"weight"}),
        },
        fingerprints=lambda resources: {"base": resources.models.fingerprint(base.source)},
        after=models_of(base.source),
        needs=one_gpu(),
        kinds={"pytorch", "diffusers"},
    )
    def prior(run: StageRun, stills: Artifact, captions: Artifact) -> StageResult:
        """Pictures by the bare base of the train stills' captions without the trigger, encoded as stills are."""
        from director_diffusion.prior.make import make_prior
        from director_diffusion.stills.sheets import contact_sheet

        models = run.resources.models
        made = make_prior(
            stills.table(STILLS_FILE, Still),
            captions.table(FILE, Caption),
            base,
            asked,
            models.base_folder(base),
            base_fingerprint=models.fingerprint(base.source),
            store=run.store,
            device=run.place.device,
            out=run.out,
            progress=run.progress,
        )
        return run.result(
            facts={
                "pictures": len(made.latents),
                "captions": len({row.prompt for row in made.prompts}),
                "buckets": len({(row.width, row.height) for row in made.latents}),
            },
            pictures={"some of them": contact_sheet(made.pictures, limit=24)},
            references=made.references,
        )

    return prior
