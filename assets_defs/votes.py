"""Votes: what people say of the pictures that the evaluation judged.

Belongs here: the stage that counts them.  They are cast at the booth (`director_diffusion.voting`); nothing that is
published reads what they say.
"""

import dagster as dg

from assets_defs.common import of_recipe
from assets_defs.evaluation import evaluation_name
from director_diffusion.evaluation.types import SCORES_FILE, Score, style_metric
from director_diffusion.specs import EvaluationPlan, Recipe
from director_diffusion.storage import Artifact
from resources.stage import stage
from resources.stage_run import StageResult, StageRun

VOTES = "votes"


def votes_asset(partitions: dg.PartitionsDefinition, recipe: Recipe, plan: EvaluationPlan) -> dg.AssetsDefinition:
    @stage(
        partitions=partitions,
        prefix=recipe.slug,
        name=VOTES,
        group=recipe.slug,
        version="1",
        reads={"evaluation": of_recipe(recipe, evaluation_name("draft"))},
        kinds={"parquet", "json"},
        outside=True,  # it looks at the ledger
    )
    def votes(run: StageRun, evaluation: Artifact) -> StageResult:
        """Blind votes on the evaluation's own pictures: win rates, strengths, and whether its metrics say the same."""
        from director_diffusion.voting.exhibition import evaluated_pairs
        from director_diffusion.voting.facts import facts_of
        from director_diffusion.voting.ledger import votes_in
        from director_diffusion.voting.plots import standings_plot
        from director_diffusion.voting.standings import judged_votes, standings, write_votes

        pairs = evaluated_pairs(evaluation, run.director, recipe.slug)
        cast = judged_votes(
            votes_in(run.resources.votes.ledger(), run.director), pairs, table=f"{recipe.slug}/{run.director}"
        )
        found = standings(cast, pairs, {recipe.slug: evaluation.table(SCORES_FILE, Score)})
        write_votes(cast, run.out)
        found.write(run.out)
        return run.result(
            facts=facts_of(found, style_metric(plan)),
            pictures={"standings": standings_plot(found)} if cast else {},
        )

    return votes
