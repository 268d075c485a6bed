"""Models: where the folders of bases, captioners and embedders come from."""

import os
from pathlib import Path

import dagster as dg

from director_diffusion.progress import Progress
from director_diffusion.specs import Base, Source

TOKEN_VARIABLE = "HF_TOKEN"


class ModelsResource(dg.ConfigurableResource):
    """Turns a source of a spec into a local folder: downloaded at its pinned revision, built once, or just found."""

    root: str  # what relative folders in specs are relative to
    cache: str  # where downloads and built sets are kept

    def folder(self, source: Source, progress: Progress) -> Path:
        from director_diffusion.models.source import resolve

        return resolve(
            source,
            root=Path(self.root),
            cache=Path(self.cache),
            token=os.environ.get(TOKEN_VARIABLE),
            progress=progress,
        )

    def base_folder(self, base: Base, progress: Progress) -> Path:
        """The folder of a base, known to be whole."""
        from director_diffusion.models.source import resolve_base

        return resolve_base(
            base,
            root=Path(self.root),
            cache=Path(self.cache),
            token=os.environ.get(TOKEN_VARIABLE),
            progress=progress,
        )

    def fingerprint(self, source: Source) -> str:
        """What the folder will hold, known without downloading or building it."""
        from director_diffusion.models.source import fingerprint

        return fingerprint(source, root=Path(self.root), cache=Path(self.cache))
