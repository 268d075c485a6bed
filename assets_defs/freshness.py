"""Freshness: whether a director was judged lately.

Belongs here: a check per recipe and director that its evaluation was made no longer ago than the deployment allows.
The sensor `freshness` reports it for all of them; people may run it.
"""

import datetime
import warnings
from collections.abc import Collection, Sequence

import dagster as dg

from assets_defs.evaluation import evaluation_name
from director_diffusion.specs import Recipe
from director_diffusion.storage import Store
from director_diffusion.storage.latest import when_made

EVALUATED_LATELY = "evaluated_lately"


def evaluation_key(recipe: str) -> dg.AssetKey:
    return dg.AssetKey([recipe, evaluation_name("draft")])


def lately_key(recipe: str) -> dg.AssetCheckKey:
    return dg.AssetCheckKey(evaluation_key(recipe), EVALUATED_LATELY)


def freshness_checks(
    partitions: dg.PartitionsDefinition, recipes: Sequence[Recipe], days: float
) -> list[dg.AssetChecksDefinition]:
    """A check per recipe, a partition per director: evaluated within `days`."""
    return [_check(partitions, recipe.slug, days) for recipe in recipes]


def _check(partitions: dg.PartitionsDefinition, recipe: str, days: float) -> dg.AssetChecksDefinition:
    def evaluated_lately(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        slug, store = context.partition_key, context.resources.store.get()
        late = overdue(store, recipe, [slug], days, datetime.datetime.now(datetime.UTC))
        return dg.AssetCheckResult(
            passed=not late, severity=dg.AssetCheckSeverity.WARN, description=told(slug in late, days)
        )

    with warnings.catch_warnings():
        # Partitioned checks are a preview in Dagster 1.13; our pin (<1.14) is what makes them safe to use.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.asset_check(
            asset=evaluation_key(recipe),
            name=EVALUATED_LATELY,
            description=f"The director was evaluated within {days:g} days.",
            partitions_def=partitions,
            required_resource_keys={"store"},
        )(evaluated_lately)


def overdue(store: Store, recipe: str, slugs: Collection[str], days: float, now: datetime.datetime) -> set[str]:
    """Those of `slugs` whose evaluation, or whose adapter where they were never evaluated, was made longer ago.

    A run that finds the same evaluation again has judged nothing.  Directors without an adapter are not waited for, and
    what was made before that was noted is old.  It reads one small file of a director, or two.
    """
    evaluated = when_made(store, tuple(evaluation_key(recipe).path), slugs)
    trained = when_made(store, (recipe, "adapter"), slugs)
    since = now - datetime.timedelta(days=days)
    return {slug for slug, when in (trained | evaluated).items() if slug in trained and (when is None or when < since)}


def told(late: bool, days: float) -> str:
    if not late:
        return f"Evaluated within {days:g} days."
    return (
        f"Not evaluated for {days:g} days. Turn the schedule weekly_reevaluate_<recipe> on, or look at its last runs."
    )
