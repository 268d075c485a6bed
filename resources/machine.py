"""The machine: where a step runs, which devices it wants and is lent, and how it tells how far it is."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from director_diffusion.devices import DeviceLeases, Devices
from director_diffusion.devices.device import GIB
from director_diffusion.devices.leases import FOR_EVER
from director_diffusion.progress import Progress, Task
from director_diffusion.storage.artifact import OBSERVED, partition_folder
from resources.needs import Needs
from resources.pictures import Pictures, image_markdown

if TYPE_CHECKING:
    from PIL.Image import Image


def _words(counts: Sequence[int]) -> str:
    return " or ".join(map(str, counts))


@dataclass(frozen=True)
class Place:
    """Where one piece of work runs, for as long as it runs."""

    device: str  # as torch calls it: of several, the first
    devices: tuple[str, ...] = ()  # UUIDs of those that were lent
    processes: int = 1  # that may share the work, with a device each where some were lent


class MachineResource(dg.ConfigurableResource):
    """The deployment's kind of device, and batch sizes, which never change what comes out."""

    kind: str  # cpu or cuda
    captioning_batch: int
    gpus: int = 0
    training_processes: int = 1
    leases: str = ""  # the folder of leases, on this machine
    gpu_memory_gib: float | None = None

    def devices(self) -> Devices:
        """The real ones, of which some are lent; a test may put others in their place."""
        from director_diffusion.devices.nvidia import NvidiaDevices

        return NvidiaDevices()

    def device_leases(self) -> DeviceLeases:
        """Leases of this machine's devices, shared with all of its deployments and commands."""
        return DeviceLeases(Path(self.leases), self.devices())

    def wanted(self, needs: Needs, run_tags: Mapping[str, str], told: Callable[[str], None]) -> int:
        """How many devices a step wants here; that they are fewer than asked for is `told`."""
        here = {"gpus": self.gpus, "training_processes": self.training_processes}
        wanted, shares = needs.devices(run_tags, **here), needs.shares
        if shares is not None and wanted < (asked := shares.asked(run_tags, **here)):
            told(
                f"Shared by {wanted} of the {asked} that may: {shares.work} divides evenly by {_words(shares.counts)}."
            )
        return wanted

    @contextmanager
    def lent(
        self, count: int = 1, *, holder: str, told: Callable[[str], None], wait_s: float = FOR_EVER
    ) -> Iterator[Place]:
        """Somewhere for `count` processes to work: the CPU, which all share, or as many devices that nobody else has
        meanwhile, all at once or none.

        Raises DeviceError where there can never be so many, DevicesBusyError after `wait_s`.
        """
        if self.kind == "cpu":
            yield Place("cpu", processes=count)
            return
        needed = None if self.gpu_memory_gib is None else int(self.gpu_memory_gib * GIB)
        leases = self.device_leases()
        with (
            leases.taken(count, holder=holder, needed_bytes=needed, wait_s=wait_s, told=told) as had,
            self.devices().in_use(had) as names,
        ):
            yield Place(names[0], tuple(device.uuid for device in had), len(had))


def partition_of(context: dg.AssetExecutionContext) -> str | None:
    """The partition that this step makes; None for an asset without partitions, even in a run that has one."""
    return context.partition_key if context.assets_def.partitions_def is not None else None


class LogProgress:
    """Progress in the run's log, a line per tenth; training numbers and sample grids as asset observations."""

    def __init__(self, context: dg.AssetExecutionContext):
        self._context = context

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Task]:
        yield _LogTask(self._context.log.info, title, total)

    def observe(self, step: int, values: dict[str, float]) -> None:
        self._log({"step": step, **values})

    def show(self, step: int, title: str, image: "Image") -> None:
        store = self._context.resources.store
        folder = partition_folder(tuple(self._context.asset_key.path), partition_of(self._context))
        pictures = Pictures(store.pictures, store.get(), f"{folder}/{OBSERVED}")
        shown = pictures.shown(image_markdown(image, f"{title}, step {step}"))
        self._log({"step": step, title: dg.MetadataValue.md(shown)})

    def note(self, text: str) -> None:
        self._context.log.info(text)

    def _log(self, metadata: Mapping[str, Any]) -> None:
        self._context.log_event(
            dg.AssetObservation(
                asset_key=self._context.asset_key, partition=partition_of(self._context), metadata=metadata
            )
        )


class _LogTask:
    def __init__(self, log: Callable[[str], None], title: str, total: int):
        self._log, self._title, self._total, self._done = log, title, total, 0

    def advance(self, steps: int = 1, note: str = "") -> None:
        before, self._done = self._done, self._done + steps
        if self._total and before * 10 // self._total != self._done * 10 // self._total:
            self._log(f"{self._title}: {self._done} of {self._total}{f', {note}' if note else ''}")


class ProgressResource(dg.ConfigurableResource):
    """Progress in the run's log; a command may put its own resource in this place."""

    def of(self, context: dg.AssetExecutionContext) -> Progress:
        return LogProgress(context)
