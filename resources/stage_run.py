"""What a stage's body is given, and what it gives back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from director_diffusion.progress import Progress
from director_diffusion.storage import CheckOutcome, MetadataEntry, Store
from director_diffusion.storage.artifact import UNPARTITIONED
from director_diffusion.storage.work import work_folder
from resources.configs import ConfigsResource
from resources.hub import HubResource
from resources.machine import MachineResource, Place
from resources.models import ModelsResource
from resources.pictures import image_markdown
from resources.votes import VotesResource

if TYPE_CHECKING:
    from PIL.Image import Image

Fact = int | float | str


@dataclass(frozen=True)
class Resources:
    """The outside world, as a body sees it."""

    models: ModelsResource
    machine: MachineResource
    hub: HubResource
    configs: ConfigsResource
    votes: VotesResource


@dataclass(frozen=True)
class StageResult:
    """What a body made, beside the files it left in `StageRun.out`."""

    metadata: tuple[MetadataEntry, ...]
    checks: tuple[CheckOutcome, ...]
    references: tuple[str, ...]


@dataclass(frozen=True)
class StageRun:
    """One making of one artifact."""

    context: dg.AssetExecutionContext
    partition: str | None  # None: the asset has no partitions
    store: Store
    out: Path  # files left here become the artifact
    progress: Progress
    resources: Resources
    place: Place  # the device, which nobody else has for as long as the body runs
    fresh: str  # label of a re-evaluation, or ""
    versions: Mapping[str, str] = field(default_factory=dict)  # of the inputs, by asset

    def unfinished(self, kind: str) -> Path:
        """A folder for what outlives this key: the body clears it when it is done."""
        asset = "/".join((*self.context.asset_key.path, self.partition or UNPARTITIONED))
        return work_folder(self.store, f"{kind}/{asset}")

    def earlier(self, limit: int = 100) -> list[tuple[datetime, dict[str, Fact]]]:
        """When this was made before, oldest first, with the facts told then; what was only found again is left out.

        For the UI's sake: what a body writes must not depend on it.
        """
        wanted = dg.AssetRecordsFilter(
            asset_key=self.context.asset_key, asset_partitions=None if self.partition is None else [self.partition]
        )
        found = []
        for record in self.context.instance.fetch_materializations(wanted, limit=limit).records:
            told = record.asset_materialization
            values = {label: entry.value for label, entry in told.metadata.items()} if told is not None else {}
            if not values.get("reused"):
                facts = {label: value for label, value in values.items() if isinstance(value, (int, float, str))}
                found.append((datetime.fromtimestamp(record.timestamp, UTC), facts))
        return sorted(found, key=lambda one: one[0])

    @property
    def director(self) -> str:
        """The partition of a stage that makes something of one director."""
        if self.partition is None:
            raise TypeError(f"{self.context.asset_key.to_user_string()} has no partitions, hence no director")
        return self.partition

    def result(
        self,
        *,
        facts: Mapping[str, Fact] | None = None,
        pictures: Mapping[str, "Image | str"] | None = None,
        checks: Sequence[CheckOutcome] = (),
        references: Sequence[str] = (),
    ) -> StageResult:
        """Describe the artifact: facts for the UI, pictures (or Markdown), checks, and the cached items it needs."""
        entries = [_fact(label, value) for label, value in (facts or {}).items()]
        for label, picture in (pictures or {}).items():
            text = picture if isinstance(picture, str) else image_markdown(picture, label)
            entries.append(MetadataEntry(label=label, kind="markdown", value=text))
        return StageResult(tuple(entries), tuple(checks), tuple(references))


def _fact(label: str, value: Fact) -> MetadataEntry:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise TypeError(f"fact {label!r} is a {type(value).__name__}; give a number or words")
    kind = "int" if isinstance(value, int) else "float" if isinstance(value, float) else "text"
    return MetadataEntry(label=label, kind=kind, value=value)


def dagster_metadata(entries: Sequence[MetadataEntry]) -> dict[str, dg.MetadataValue[Any]]:
    """Entries as Dagster shows them."""
    makers: dict[str, Callable[[Any], dg.MetadataValue[Any]]] = {
        "int": dg.MetadataValue.int,
        "float": dg.MetadataValue.float,
        "text": dg.MetadataValue.text,
        "markdown": dg.MetadataValue.md,
    }
    return {entry.label: makers[entry.kind](entry.value) for entry in entries}
