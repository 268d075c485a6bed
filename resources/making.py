"""Making: how one step of a stage finds its artifact, or makes it.

Belongs here: the key, the look-up, the lock, the commit, and what Dagster is told of the result.

    key     = inputs' versions + spec + stage version + runtime fingerprints (+ fresh label): known before any work;
              of a stage that looks outside, its content and inputs' versions
    version = hash of the content: Dagster's data version, so an identical output stops the ripple
"""

import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.storage.tags import PARENT_RUN_ID_TAG

from director_diffusion.errors import StoreError
from director_diffusion.hashing import hash_data, short
from director_diffusion.progress import Progress
from director_diffusion.storage import Artifact, Manifest, MetadataEntry, Store
from director_diffusion.storage.artifact import (
    UNPARTITIONED,
    content_version,
    describe_files,
    find_artifact,
    latest_artifact,
    set_latest,
    write_artifact,
)
from director_diffusion.storage.lock import pass_gate, writer_lock
from resources.machine import Place, partition_of
from resources.needs import Needs
from resources.pictures import Pictures
from resources.secrets import hidden_in
from resources.stage_run import Resources, StageResult, StageRun, dagster_metadata

FRESH_TAG = "director/fresh"
GLANCE_S = 10.0  # a look outside is over in moments, so another writer of one is waited for
WHILE_IT_LIVES = -1.0  # and so is who makes something for all directors, be it a base for hours

Body = Callable[..., StageResult]
Input = Artifact | dict[str, Artifact]
Fingerprints = Callable[[Resources], Mapping[str, str]]


class Maker:
    """Makes, or finds, one artifact for one step."""

    def __init__(
        self,
        context: dg.AssetExecutionContext,
        key: dg.AssetKey,
        code_version: str,
        *,
        outside: bool,
        fresh: bool,
        fingerprints: Fingerprints | None,
        needs: Needs,
    ):
        self.context, self.asset, self.code_version, self.outside = context, tuple(key.path), code_version, outside
        self.partition = partition_of(context)
        self.store: Store = context.resources.store.get()
        self.fresh = context.run.tags.get(FRESH_TAG, "") if fresh else ""
        self.resources = Resources(
            models=context.resources.models,
            machine=context.resources.machine,
            hub=context.resources.hub,
            configs=context.resources.configs,
            votes=context.resources.votes,
        )
        self.fingerprints, self.needs = fingerprints, needs
        self.progress: Progress = context.resources.progress.of(context)

    def make(self, body: Body, artifacts: Mapping[str, Input]) -> dg.MaterializeResult[Artifact]:
        """The artifact of this step, as Dagster is told of it: what exists is made the latest, else `body` makes it.

        Raises StoreError and BusyError (another writer of the same asset and partition), and whatever `body` raises.
        """
        started = time.monotonic()
        versions = _versions(artifacts)
        if self.outside:
            artifact, reused = self._write(body, artifacts, versions, plain_key="", started=started)
            return self._report(artifact, reused=reused, started=started)
        plain_key = self._plain_key(versions)
        found = self._find(plain_key)
        if found is not None and set_latest(found):
            self.context.log.info(f"Reusing {found.folder}")
            return self._report(found, reused=True, started=started)
        artifact, reused = self._write(body, artifacts, versions, plain_key=plain_key, started=started)
        return self._report(artifact, reused=reused, started=started)

    def _plain_key(self, versions: Mapping[str, str]) -> str:
        fingerprints = dict(self.fingerprints(self.resources)) if self.fingerprints else {}
        return short(hash_data({"code": self.code_version, "inputs": versions, "fingerprints": fingerprints}))

    def _key(self, plain_key: str) -> str:
        return short(hash_data({"plain": plain_key, "fresh": self.fresh})) if self.fresh else plain_key

    def _find(self, plain_key: str) -> Artifact | None:
        """What exists already and may be used.  What a blocking check refused is made again: it may be mended."""
        found = self._newest_of(plain_key) or find_artifact(
            self.store, self.asset, self.partition, self._key(plain_key)
        )
        return None if found is None or found.failed_blocking_check() else found

    def _newest_of(self, plain_key: str) -> Artifact | None:
        """Without a fresh label, the newest re-evaluation of the same work serves."""
        if self.fresh:
            return None
        try:
            latest = latest_artifact(self.store, self.asset, self.partition)
        except StoreError:
            return None  # nothing made yet, or its files are gone: the look-up by key decides
        return latest if latest.manifest.plain_key == plain_key else None

    @property
    def _wait_s(self) -> float:
        """Of what is nobody's partition, several directors' runs may want to make the same at once."""
        return WHILE_IT_LIVES if self._may_be_made else GLANCE_S if self.outside else 0.0

    @property
    def _may_be_made(self) -> bool:
        """Whether another may be making the same.  A step that is tried again takes the place of one that was lost with
        its machine: that may live on, or its lock may outlive it for as long as a file server believes in it."""
        tried_again = self.context.retry_number > 0 or PARENT_RUN_ID_TAG in self.context.run.tags
        return self.partition is None or tried_again

    def _write(
        self, body: Body, artifacts: Mapping[str, Input], versions: dict[str, str], *, plain_key: str, started: float
    ) -> tuple[Artifact, bool]:
        name = "/".join((*self.asset, self.partition or UNPARTITIONED))
        with (
            writer_lock(
                self.store,
                name,
                f"run {self.context.run.run_id}",
                wait_s=self._wait_s,
                told=self.context.log.info,
            ) as check_lock,
            tempfile.TemporaryDirectory(prefix="director-out-") as out,
        ):
            pass_gate(self.store, f"run {self.context.run.run_id}", told=self.context.log.info)
            if self._may_be_made and not self.outside and (found := self._find(plain_key)) is not None:
                set_latest(found)  # another has made it, while this one waited
                return found, True
            with self._lent(name) as place:
                run = StageRun(
                    context=self.context,
                    partition=self.partition,
                    store=self.store,
                    out=Path(out),
                    progress=self.progress,
                    resources=self.resources,
                    place=place,
                    fresh=self.fresh,
                    versions=versions,
                )
                result = body(run, **artifacts)
            files = describe_files(run.out)
            version = content_version(files, result.references)
            if self.outside:
                plain_key = short(hash_data({"content": version, "inputs": versions}) if versions else version)
                found = find_artifact(self.store, self.asset, self.partition, plain_key)
                if found is not None:
                    set_latest(found)
                    return found, True
            manifest = Manifest(
                asset=self.asset,
                partition=self.partition,
                key=self._key(plain_key),
                plain_key=plain_key,
                version=version,
                files=files,
                references=result.references,
                metadata=result.metadata,
                checks=result.checks,
                inputs=versions,
                code_version=self.code_version,
                seconds=round(time.monotonic() - started, 3),
                made=datetime.now(UTC).isoformat(timespec="microseconds"),
            )
            check_lock()
            artifact = write_artifact(self.store, run.out, manifest)
            check_lock()  # again: an upload may take minutes
            set_latest(artifact)
            return artifact, False

    def _lent(self, name: str) -> AbstractContextManager[Place]:
        """What it wants for as long as the body runs: what is found again, or only copied, waits for no device."""
        if not self.needs.gpu:
            return nullcontext(Place("cpu"))
        wanted = self.resources.machine.wanted(self.needs, self.context.run.tags, self.progress.note)
        holder = f"{name.removesuffix(f'/{UNPARTITIONED}')} of run {self.context.run.run_id[:8]}"
        return self.resources.machine.lent(wanted, holder=holder, told=self.progress.note)

    def _report(self, artifact: Artifact, *, reused: bool, started: float) -> dg.MaterializeResult[Artifact]:
        manifest = artifact.manifest
        metadata = dagster_metadata(self._shown(artifact))
        metadata["reused"] = dg.MetadataValue.bool(reused)
        metadata["seconds"] = dg.MetadataValue.float(round(time.monotonic() - started, 3))
        metadata["seconds when made"] = dg.MetadataValue.float(manifest.seconds)
        metadata["folder"] = dg.MetadataValue.path(hidden_in(self.store.full(artifact.folder)))
        metadata["key"] = dg.MetadataValue.text(manifest.key)
        return dg.MaterializeResult(
            value=artifact,
            data_version=dg.DataVersion(manifest.version),
            metadata=metadata,
            check_results=[
                dg.AssetCheckResult(
                    check_name=check.name,
                    passed=check.passed,
                    description=hidden_in(check.description),
                    severity=dg.AssetCheckSeverity.ERROR if check.blocking else dg.AssetCheckSeverity.WARN,
                    metadata=hidden_in(check.metadata),
                )
                for check in manifest.checks
            ],
        )

    def _shown(self, artifact: Artifact) -> tuple[MetadataEntry, ...]:
        """Its facts without secrets, and its pictures as this deployment shows them, whichever it was made by."""
        pictures = Pictures(self.context.resources.store.pictures, self.store, artifact.folder)
        return tuple(
            entry.model_copy(update={"value": hidden_in(_pictured(entry, pictures))})
            for entry in artifact.manifest.metadata
        )


def _pictured(entry: MetadataEntry, pictures: Pictures) -> Any:
    return pictures.shown(entry.value) if entry.kind == "markdown" else entry.value


def _versions(artifacts: Mapping[str, Input]) -> dict[str, str]:
    """Versions by asset, of gathered ones by asset and partition."""
    found = {}
    for given in artifacts.values():
        if isinstance(given, Artifact):
            found["/".join(given.manifest.asset)] = given.version
        else:
            places = ((one, one.manifest.partition) for one in given.values())
            found |= {"/".join((*one.manifest.asset, *([at] if at else []))): one.version for one, at in places}
    return found
