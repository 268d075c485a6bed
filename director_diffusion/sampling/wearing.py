"""Wearing: what draws an arm's pictures, a pipeline with or without an adapter, and what says how it draws.

Belongs here: putting adapters on one pipeline, which is loaded when it is first needed.
"""

from dataclasses import dataclass
from pathlib import Path

import torch

from director_diffusion.families import painter_of
from director_diffusion.families.base import Painter
from director_diffusion.packages import DRAWING, package_versions
from director_diffusion.specs import Base, FewStepScheduler


@dataclass(frozen=True)
class ArmAdapter:
    """The adapter that an arm is drawn with: its file, and what says that file's content."""

    path: Path
    version: str
    on: "ArmAdapter | None" = None  # it lies on top of this one
    stock: FewStepScheduler | None = None  # of others' few-step weights: what they are drawn by

    @property
    def paths(self) -> tuple[Path, ...]:
        return (*(self.on.paths if self.on is not None else ()), self.path)

    @property
    def versions(self) -> str:
        """Says the content of all files."""
        return self.version if self.on is None else f"{self.version} on {self.on.versions}"


def drawn_by(device: str) -> str:
    """What draws on this machine: the versions of the libraries, and the device.

    Pictures of one prompt and noise that are compared must not differ by it.  What it leaves out, such as a driver, is
    the canary's to notice.
    """
    family = torch.device(device).type  # which of several alike draws makes no difference
    kind = torch.cuda.get_device_name(device) if family == "cuda" else torch.backends.cpu.get_cpu_capability()
    return " ".join([family, kind, *(f"{name} {version}" for name, version in package_versions(DRAWING).items())])


class LazyPainter:
    """A painter that is loaded by the first image that needs it, with the adapter that was asked for last."""

    def __init__(self, base: Base, folder: Path, device: str):
        self._base, self._folder, self._device = base, folder, device
        self._painter: Painter | None = None
        self._wanted: ArmAdapter | None = None
        self._attached: ArmAdapter | None = None

    def use(self, worn: ArmAdapter | None) -> None:
        self._wanted = worn

    def get(self) -> Painter:
        if self._painter is None:
            self._painter = painter_of(self._base, self._folder, device=self._device)
        if self._attached != self._wanted:
            _attach(self._painter, self._wanted)
            self._attached = self._wanted
        return self._painter


def _attach(painter: Painter, worn: ArmAdapter | None) -> None:
    """Put on what is worn, or nothing."""
    if worn is None:
        painter.detach()
    elif worn.stock is None:
        painter.attach(*worn.paths)
    else:
        painter.attach(*worn.paths[:-1], stock=worn.path)
