"""Published model: whether the adapter is out, and if not, why.

Belongs here: the publication stage of a recipe.  When and how to publish is `director_diffusion.publishing`'s.  It is
always materialized, also when withheld: a skipped output would turn a backfill red.
"""

import dagster as dg

from assets_defs.common import director_of, of_recipe, same_making
from director_diffusion.evaluation.types import Evaluation
from director_diffusion.hashing import short
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
        version="2",
        reads={
            "model_card": of_recipe(recipe, "model_card"),
            "evaluation": of_recipe(recipe, "release_evaluation"),
            "sign_off": of_recipe(recipe, "sign_off"),
        },
        checks=CHECKS,
        kinds={"huggingface"},
        outside=True,  # it looks at the hub, so that what was deleted there is put back
    )
    def published_model(
        run: StageRun, model_card: Artifact, evaluation: Artifact, sign_off: Artifact, director: Artifact
    ) -> StageResult:
        """The publication: `published` with its commit when the verdict passes or a person signed it off, else
        `withheld` with the reason."""
        from director_diffusion.evaluation.published_before import Entry, note_published, published_entries
        from director_diffusion.publishing.checks import judge
        from director_diffusion.publishing.decision import reason_to_withhold
        from director_diffusion.publishing.inputs import repo_id_of
        from director_diffusion.publishing.publish import publish, withhold
        from director_diffusion.publishing.repository import REPO
        from director_diffusion.publishing.sign_offs import FILE, decode_sign_offs, sign_off_for

        again = f"{recipe.slug}/model_card"
        same_making(model_card, of_recipe(recipe, "release_evaluation"), evaluation, again=again)
        same_making(model_card, of_recipe(recipe, "sign_off"), sign_off, again=again)  # the card shows who answers
        version = model_card.json(f"{REPO}/provenance.json")["adapter"]["sha256"]
        signed_off = sign_off_for(decode_sign_offs(sign_off.read(FILE).decode(), FILE), version)
        verdict = Evaluation.read(evaluation.local_folder).verdict
        repo_id = repo_id_of(project.hub_namespace, director_of(director), recipe)
        if reason := reason_to_withhold(verdict, signed_off, version):
            before = published_entries(run.store, recipe.slug, run.director)
            publication = withhold(repo_id, reason, earlier=before[-1].commit if before else "")
        else:
            tag = f"v{short(model_card.version)}"
            publication = publish(model_card.local_folder / REPO, run.resources.hub.get(), repo_id, tag=tag)
        publication.write(run.out)
        if publication.status == "published":
            entry = Entry(version, publication.repo_id, publication.commit, evaluation.folder)
            note_published(run.store, recipe.slug, run.director, entry)
        return run.result(
            facts={
                "status": publication.status,
                "reason": publication.reason or "–",
                "repository": publication.repo_id,
                "commit": publication.commit or "–",
                "tag": publication.tag or "–",
                "where": run.resources.hub.where(publication) or "–",
            },
            checks=judge(publication),
        )

    return published_model
