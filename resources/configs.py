"""The configs folder, for the one stage that reads a file of it at run time."""

from pathlib import Path

import dagster as dg

from director_diffusion.catalog import load_spec
from director_diffusion.specs import Director


class ConfigsResource(dg.ConfigurableResource):
    """The folder of specs that people edit."""

    folder: str

    def director(self, slug: str) -> Director:
        """The director's file as it is now, so that an edit needs no reload to be seen."""
        return load_spec(Path(self.folder) / "directors" / f"{slug}.yaml", Director)
