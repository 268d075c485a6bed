"""Published model: whether the adapter is out, and if not, why.

Belongs here: the publication stage of a recipe.  When and how to publish is `director_diffusion.publishing`'s.  It is
always materialized, also when withheld: a skipped output would turn a backfill red.
"""

import dagster as dg

from assets_defs.common import director_of, of_recipe
from director_diffusion.evaluation.types import Evaluation
from director_diffusion.publishing.checks import CHECKS
from director_diffusion.specs import Project, Recipe
from director_diffusion.storage import Artifact
from resources.stage import stage
from resources.stage_run import StageResult, StageRun


def published_model_asset(partitions: dg.PartitionsDefinition, project: Project, recipe: Recipe) -> dg.AssetsDefinition:
    @stage(
        partitions=partitions,
        prefix=recipe.slug,
        group=recipe.slug,
        version="1",
        reads={name: of_recipe(recipe, name) for name in ("model_card", "evaluation")},
        checks=CHECKS,
        kinds={"huggingface"},
        outside=True,  # it looks at the hub, so that what was deleted there is put back
    )
    def published_model(run: StageRun, model_card: Artifact, evaluation: Artifact, director: Artifact) -> StageResult:
        """The publication: `published` with its commit when the verdict passes, else `withheld` with the reason."""
        from director_diffusion.publishing.card import REPO
        from director_diffusion.publishing.checks import judge
        from director_diffusion.publishing.inputs import repo_id_of
        from director_diffusion.publishing.publish import publish_to_folder

        verdict = Evaluation.read(evaluation.local_folder).verdict
        repo_id = repo_id_of(project.hub_namespace, director_of(director), recipe)
        publication = publish_to_folder(model_card.local_folder / REPO, run.resources.hub.get(), repo_id, verdict)
        publication.write(run.out)
        return run.result(
            facts={
                "status": publication.status,
                "reason": publication.reason or "–",
                "repository": publication.repo_id,
                "commit": publication.commit or "–",
                "where": run.resources.hub.get().full(publication.folder) if publication.folder else "–",
            },
            checks=judge(publication),
        )

    return published_model
