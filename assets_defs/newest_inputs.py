"""Newest inputs: whether what is made of all directors at once is made of what there is of them now.

Belongs here: that check, which asks the store.  Dagster calls nothing of no partition stale that reads a hundred
partitions or more, so the leaderboard and the adapters of all directors tell it themselves.
"""

from collections.abc import Mapping, Sequence

import dagster as dg

from director_diffusion.errors import StoreError
from director_diffusion.storage.artifact import latest_artifact
from director_diffusion.storage.newest import Newer, newer_inputs
from resources.store import gathered_by

NAME = "newest_inputs"
MOST_NAMED = 10


def newest_inputs_check(
    asset: dg.AssetsDefinition,
    partitions: Mapping[dg.AssetKey, dg.PartitionsDefinition | None],
    when: dg.AutomationCondition | None = None,
) -> dg.AssetChecksDefinition:
    """The check of an asset without partitions that gathers others, whose `partitions` are given by their key.

    It reads one small file of each input: 48,000 of a leaderboard of 1,000 directors by 6 recipes, which take 2 CPU
    seconds in a local folder.
    """
    title, sources = asset.key.to_user_string(), gathered_by(asset)
    places = {tuple(key.path): _keys_of(partitions[key]) for key in sources}

    @dg.asset_check(
        asset=asset.key,
        name=NAME,
        description="It is made of the newest of all directors' inputs.",
        blocking=False,
        additional_deps=[dg.AssetDep(key, partition_mapping=dg.AllPartitionMapping()) for key in sources],
        required_resource_keys={"store"},
        automation_condition=when,
    )
    def newest_inputs(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        store = context.resources.store.get()
        try:
            artifact = latest_artifact(store, tuple(asset.key.path), None)
        except StoreError as error:
            return _result(False, f"{title} {error.problem}. {error.way_out}")
        newer = newer_inputs(store, artifact, places)
        return _result(newer.same, _words(newer, title), newer)

    return newest_inputs


def _keys_of(partitions: dg.PartitionsDefinition | None) -> Sequence[str] | None:
    return None if partitions is None else partitions.get_partition_keys()


def _result(passed: bool, words: str, newer: Newer | None = None) -> dg.AssetCheckResult:
    counts = {} if newer is None else {
        "inputs now": newer.compared,
        "changed": len(newer.changed),
        "new": len(newer.come),
        "gone": len(newer.gone),
        "directors not in it": len(newer.lacking),
    }  # fmt: skip
    return dg.AssetCheckResult(passed=passed, description=words, severity=dg.AssetCheckSeverity.WARN, metadata=counts)


def _words(newer: Newer, title: str) -> str:
    differing = [
        f"{what}: {_named([one.words for one in inputs])}"
        for what, inputs in (("changed since", newer.changed), ("not in it yet", newer.come), ("gone", newer.gone))
        if inputs
    ]
    lacking = f" Nothing of {_named(newer.lacking)} is in it." if newer.lacking else ""
    if newer.same:
        return f"Made of the newest of its {newer.compared:,} inputs.{lacking}"
    return f"{'; '.join(differing).capitalize()}.{lacking} Materialize {title} again."


def _named(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")
