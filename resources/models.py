"""Models: where the folders of bases, captioners and embedders come from, and where bases are trained."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from director_diffusion.models.token import TOKEN_VARIABLE
from director_diffusion.progress import Progress
from director_diffusion.specs import Base, Source
from resources.store import StoreResource

if TYPE_CHECKING:
    from director_diffusion.pretraining.build import Workshop
    from director_diffusion.pretraining.keys import PartName


class ModelsResource(dg.ConfigurableResource):
    """Turns a source of a spec into a local folder: downloaded at its pinned revision, trained here, or just found."""

    root: str  # what relative folders in specs are relative to
    cache: str  # where downloads are kept
    store: dg.ResourceDependency[StoreResource]

    def folder(self, source: Source) -> Path:
        """A local folder with the model: downloaded into the cache where it is not there yet, gigabytes maybe.

        Raises ModelError, and TransientError for what is likely to pass.
        """
        from director_diffusion.models.source import resolve

        return resolve(
            source,
            root=Path(self.root),
            cache=Path(self.cache),
            store=self.store.get(),
            token=self.token(),
        )

    def token(self) -> str | None:
        """The Hub's token, where one is set."""
        return os.environ.get(TOKEN_VARIABLE)

    def base_folder(self, base: Base) -> Path:
        """The folder of a base, known to be whole."""
        from director_diffusion.models.source import resolve_base

        return resolve_base(
            base,
            root=Path(self.root),
            cache=Path(self.cache),
            store=self.store.get(),
            token=self.token(),
        )

    def fingerprint(self, source: Source) -> str:
        """What the folder will hold, known without downloading it."""
        from director_diffusion.models.source import fingerprint

        return fingerprint(source, root=Path(self.root), cache=Path(self.cache), store=self.store.get())

    def workshop(self, *, device: str, holder: str, progress: Progress) -> "Workshop":
        """Where parts of bases are made, by `holder`."""
        from director_diffusion.pretraining.build import Workshop

        return Workshop(
            store=self.store.get(),
            root=Path(self.root),
            cache=Path(self.cache),
            token=self.token(),
            device=device,
            holder=holder,
            progress=progress,
        )

    def part_keys(self, base: Base) -> Mapping["PartName", str]:
        """What the parts of a base trained here are made of, known before they are."""
        from director_diffusion.pretraining.keys import part_keys

        return part_keys(base, root=Path(self.root), cache=Path(self.cache))
