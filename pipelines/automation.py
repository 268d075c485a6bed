"""Automation: when Dagster may run a stage by itself.

Belongs here: named conditions, each with the reason it exists, and which asset has which.  The `automation` sensor that
evaluates them is off until a person turns it on.
"""

from collections.abc import Sequence

import dagster as dg

from pipelines.jobs import PICK, ROOT_NAMES


def inputs_changed() -> dg.AutomationCondition:
    """Run when an input's content really changed.

    - `data_version_changed`: an identical re-materialization upstream must not retrain; `eager()` would.
    - `since_last_handled`: edge-triggered.  A run that failed is not asked for again until something changes, so a
      failing director cannot loop.
    - `~any_deps_missing`: a new director waits until its inputs exist.
    - `~in_progress`: one run at a time writes a partition.
    """
    return (
        dg.AutomationCondition.any_deps_match(dg.AutomationCondition.data_version_changed()).since_last_handled()
        & ~dg.AutomationCondition.any_deps_missing()
        & ~dg.AutomationCondition.in_progress()
    ).with_label("inputs changed")


def with_automation(assets: Sequence[dg.AssetsDefinition]) -> list[dg.AssetsDefinition]:
    """Every stage but the roots follows its inputs; the roots follow people, through the sensor for changed inputs."""
    condition = inputs_changed()

    def conditioned(spec: dg.AssetSpec) -> dg.AssetSpec:
        if spec.key.path[-1] in (*ROOT_NAMES, PICK):
            return spec
        return spec.replace_attributes(automation_condition=condition)

    return [asset.map_asset_specs(conditioned) for asset in assets]
