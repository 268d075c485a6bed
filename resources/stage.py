"""`@stage`: an asset that never does the same work twice.

Belongs here: what Dagster knows of such an asset, and which of its failures are worth another try.  A body makes files
and describes them; everything else about being an asset happens in `making`, once.
"""

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dagster as dg

from director_diffusion.checks import Check
from director_diffusion.errors import DirectorError, TransientError
from director_diffusion.hashing import hash_data, short
from director_diffusion.storage import Artifact
from director_diffusion.storage.disk import refused_by_disk
from resources.interrupts import begun_again_where_machines_go
from resources.making import Body, Fingerprints, Input, Maker
from resources.needs import NOTHING, Needs
from resources.process_tags import tag_run_with_process
from resources.secrets import clean, without_secrets
from resources.store import gathered_in

RETRIES, RETRY_WAIT_S = 3, 20.0


def stage(
    *,
    partitions: dg.PartitionsDefinition | None,
    group: str,
    version: str,
    name: str | None = None,
    prefix: str | None = None,
    reads: Mapping[str, dg.AssetKey] | None = None,
    further: Mapping[str, dg.AssetKey] | None = None,
    gathers: Mapping[str, dg.AssetKey] | None = None,
    after: Sequence[dg.AssetKey] = (),
    spec: Any = None,
    fingerprints: Fingerprints | None = None,
    checks: Sequence[Check] = (),
    needs: Needs = NOTHING,
    kinds: frozenset[str] | set[str] = frozenset(),
    outside: bool = False,
    fresh: bool = False,
) -> Callable[[Body], dg.AssetsDefinition]:
    """Make an asset of a body `(run: StageRun, <input>: Artifact, ...) -> StageResult`.

    `version` is raised by hand when the body's results change; with `spec` it is Dagster's code version.  `name` is
    the asset's where it is not the body's.  `reads` gives the asset key of an input whose name is not its key;
    `further` are inputs that a body with `**further` takes beside the named ones; `gathers` are inputs of which a body
    takes a dict, of all partitions that there are by now; `after` are assets that reach the body by another way, such
    as a model's source, and the key through its fingerprint.  A stage that `needs=one_gpu()` is lent one while its body
    runs, and its steps ask for one wherever they are sent; of work that several processes can share, it is lent as many
    as `Needs.devices` says.  `fingerprints` are further parts of the key, known at run time only (a local model
    folder's content).  A stage that looks `outside` (at people's files, at the hub, into manifests) does so every time;
    its key is its content, and what it read.  With `fresh`, the run tag `director/fresh` enters the key.
    """
    code_version = short(hash_data({"version": version, "spec": spec}))

    def decorate(body: Body) -> dg.AssetsDefinition:
        last = name or body.__name__
        key = dg.AssetKey([prefix, last] if prefix else [last])
        named = list(inspect.signature(body).parameters.values())[1:]
        names = [parameter.name for parameter in named if parameter.kind is not inspect.Parameter.VAR_KEYWORD]
        single = {name: (reads or {}).get(name, dg.AssetKey([name])) for name in names if name not in (gathers or {})}
        inputs = {name: dg.AssetIn(key=asset_key) for name, asset_key in {**single, **(further or {})}.items()}
        inputs |= {name: gathered_in(asset_key) for name, asset_key in (gathers or {}).items()}

        def compute(context: dg.AssetExecutionContext, **artifacts: Input) -> dg.MaterializeResult[Artifact]:
            tag_run_with_process(context)
            with without_secrets(), begun_again_where_machines_go(context):
                maker = Maker(
                    context,
                    key,
                    code_version,
                    outside=outside,
                    fresh=fresh,
                    fingerprints=fingerprints,
                    needs=needs,
                )
                return _as_failures(lambda: maker.make(body, artifacts), last_try=context.retry_number >= RETRIES)

        # Dagster reads a MaterializeResult annotation as "returns no value"; without one it passes the handle on.
        del compute.__annotations__["return"]
        return dg.asset(
            key=key,
            ins=inputs,
            deps=list(after),
            partitions_def=partitions,
            group_name=group,
            code_version=code_version,
            description=inspect.getdoc(body),
            pool=needs.pool,
            op_tags=needs.tags,
            kinds=set(kinds),
            owners=["team:director-diffusion"],
            check_specs=[_check_spec(check, key, partitions) for check in checks],
            required_resource_keys={"store", "models", "machine", "hub", "configs", "votes", "progress"},
            io_manager_key="artifacts",
        )(compute)

    return decorate


def _check_spec(check: Check, key: dg.AssetKey, partitions: dg.PartitionsDefinition | None) -> dg.AssetCheckSpec:
    with warnings.catch_warnings():
        # Partitioned checks are a preview in Dagster 1.13; our pin (<1.14) is what makes them safe to use.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.AssetCheckSpec(
            check.name,
            asset=key,
            description=check.description,
            blocking=check.blocking,
            partitions_def=partitions,
        )


def _as_failures(
    make: Callable[[], dg.MaterializeResult[Artifact]], *, last_try: bool
) -> dg.MaterializeResult[Artifact]:
    """Run `make`; say to Dagster which errors are worth another try and which a person must mend."""
    try:
        return make()
    except DirectorError as raised:
        error = clean(raised)
        if isinstance(error, TransientError) and not last_try:
            raise dg.RetryRequested(max_retries=RETRIES, seconds_to_wait=RETRY_WAIT_S) from error
        raise _failure(error) from error
    except OSError as error:
        if (refused := refused_by_disk(error)) is None:
            raise
        raise _failure(refused) from error


def _failure(error: DirectorError) -> dg.Failure:
    return dg.Failure(
        description=str(error),
        metadata={"thing": error.thing, "problem": error.problem, "way out": error.way_out},
        allow_retries=False,
    )
