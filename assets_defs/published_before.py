"""Published before: what a new adapter must not be worse than, as an input.

Belongs here: the stage that looks it up.  `published_model` notes what it publishes.
"""

import dagster as dg

from assets_defs.common import of_recipe
from director_diffusion.hashing import short
from director_diffusion.specs import Recipe
from director_diffusion.storage import Artifact
from director_diffusion.training.rows import adapter_version
from resources.stage import stage
from resources.stage_run import StageResult, StageRun


def published_before_asset(partitions: dg.PartitionsDefinition, recipe: Recipe) -> dg.AssetsDefinition:
    @stage(
        partitions=partitions,
        prefix=recipe.slug,
        group=recipe.slug,
        version="1",
        reads={"adapter": of_recipe(recipe, "adapter")},
        kinds={"json"},
        outside=True,
    )
    def published_before(run: StageRun, adapter: Artifact) -> StageResult:
        """The version that was published last, other than this adapter, with the pictures it was published by."""
        from director_diffusion.evaluation.published_before import write_published_before

        version = adapter_version(adapter.manifest)
        entry, pictures = write_published_before(run.store, recipe.slug, run.director, version, run.out)
        if entry is None:
            return run.result(facts={"published before": "nothing: there is nothing to be worse than"})
        return run.result(
            facts={"published before": short(entry.adapter_version), "commit": entry.commit}, references=pictures
        )

    return published_before
