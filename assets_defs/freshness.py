"""Freshness: whether a director was judged lately.

Belongs here: a check per recipe and director that its evaluation is not older than the deployment allows.  The sensor
`freshness` reports it for all of them; people may run it.
"""

import datetime
import warnings
from collections.abc import Iterable, Sequence

import dagster as dg

from assets_defs.evaluation import evaluation_name
from director_diffusion.specs import Recipe

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
        slug = context.partition_key
        late = overdue(context.instance, recipe, [slug], days, datetime.datetime.now(datetime.UTC))
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
        )(evaluated_lately)


def overdue(
    instance: dg.DagsterInstance, recipe: str, slugs: Iterable[str], days: float, now: datetime.datetime
) -> set[str]:
    """Those of `slugs` whose evaluation, or whose adapter where they were never evaluated, is older than `days`.

    A run that found the same evaluation again counts as one: nothing that it is made of has changed.  Directors without
    an adapter are not waited for.  It asks six times, however many directors there are.
    """
    adapter, evaluation = dg.AssetKey([recipe, "adapter"]), evaluation_key(recipe)
    since = now.timestamp() - days * 86_400
    lately = [_made_since(instance, key, since) for key in (adapter, evaluation)]
    trained = instance.get_materialized_partitions(adapter) & set(slugs)
    evaluated = instance.get_materialized_partitions(evaluation)
    return {slug for slug in trained if slug not in lately[1] and (slug in evaluated or slug not in lately[0])}


def _made_since(instance: dg.DagsterInstance, key: dg.AssetKey, since: float) -> set[str]:
    """Partitions of `key` made after `since` (seconds).  Records, which hold pictures, are not read: the first one
    after that time tells which numbers are later."""
    wanted = dg.AssetRecordsFilter(asset_key=key, after_timestamp=since)
    first = instance.fetch_materializations(wanted, limit=1, ascending=True).records
    if not first:
        return set()
    newest = instance.get_latest_storage_id_by_partition(key, dg.DagsterEventType.ASSET_MATERIALIZATION)
    return {slug for slug, number in newest.items() if number >= first[0].storage_id}


def told(late: bool, days: float) -> str:
    if not late:
        return f"Evaluated within {days:g} days."
    return (
        f"Not evaluated for {days:g} days. Turn the schedule weekly_reevaluate_<recipe> on, or look at its last runs."
    )
