"""The empty graph: a project's assets with bodies that do nothing.

Belongs here: that graph, which is what a graph of this size costs in Dagster whatever its stages do.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import dagster as dg


class NothingIOManager(dg.ConfigurableIOManager):
    """Stores nothing, and loads None."""

    def handle_output(self, context: dg.OutputContext, obj: None) -> None:
        """Nothing to store."""

    def load_input(self, context: dg.InputContext) -> None:
        return None


def emptied(
    assets: list[dg.AssetsDefinition], jobs: list[Any], checks: Sequence[dg.AssetChecksDefinition]
) -> dg.Definitions:
    """The same keys, inputs, partitions and checks, in the same process, and no work: every check passes.

    `checks` are those of the project that have a body of their own.
    """
    return dg.Definitions(
        assets=[_emptied(asset) for asset in assets],
        asset_checks=[_emptied_check(check) for check in checks],
        jobs=jobs,
        resources={"nothing": NothingIOManager()},
        executor=dg.in_process_executor,
    )


def _emptied(asset: dg.AssetsDefinition) -> dg.AssetsDefinition:
    spec = asset.get_asset_spec(asset.key)
    names = {key: name for name, key in asset.keys_by_input_name.items()}
    loaded = {name: key for key, name in names.items() if not asset.op.ins[name].dagster_type.is_nothing}
    checks = list(asset.check_specs)

    def nothing(context: dg.AssetExecutionContext, **inputs: None) -> Any:
        return dg.MaterializeResult(
            value=None, check_results=[dg.AssetCheckResult(check_name=check.name, passed=True) for check in checks]
        )

    del nothing.__annotations__["return"]  # as `@stage` does: Dagster would read it
    return dg.asset(
        key=asset.key,
        ins={
            name: dg.AssetIn(key=key, partition_mapping=asset.get_partition_mapping(key))
            for name, key in loaded.items()
        },
        deps=[key for key in asset.dependency_keys if key not in loaded.values()],
        partitions_def=asset.partitions_def,
        group_name=spec.group_name,
        code_version=spec.code_version,
        description=spec.description,
        kinds=spec.kinds,
        owners=list(spec.owners),
        check_specs=checks,
        io_manager_key="nothing",
    )(nothing)


def _emptied_check(check: dg.AssetChecksDefinition) -> dg.AssetChecksDefinition:
    (spec,) = check.check_specs

    def passes() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=True)

    with warnings.catch_warnings():
        # Partitioned checks are a preview in Dagster 1.13; our pin (<1.14) is what makes them safe to use.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.asset_check(asset=spec.asset_key, name=spec.name, partitions_def=spec.partitions_def)(passes)
