"""`director pin`: the Hub's current revision of a base, written into its YAML."""

import os
import re

from director_diffusion.errors import SpecError
from director_diffusion.specs import HubSource, SingleFileSource
from pipelines.surroundings import read_surroundings
from resources.models import TOKEN_VARIABLE


def pin_command(slug: str) -> int:
    """Ask the Hub for the commit that the `main` of a base, or of a single file's rest, is at, and pin it."""
    from director_diffusion.models.hub import newest_revision

    surroundings = read_surroundings()
    if slug not in surroundings.catalog.bases:
        raise SpecError(slug, "is no base", f"Choose of {', '.join(surroundings.catalog.bases)}.")
    source = surroundings.catalog.bases[slug].source
    if isinstance(source, SingleFileSource):
        source = source.rest
    if not isinstance(source, HubSource):
        raise SpecError(slug, f"comes from a {source.kind} source, which has no revision", "Nothing is to be pinned.")
    revision = newest_revision(source.repo, token=os.environ.get(TOKEN_VARIABLE))
    path = surroundings.catalog.folder / "bases" / f"{slug}.yaml"
    text, count = re.subn(r"(?m)^(\s+revision:).*$", rf"\1 {revision}", path.read_text(encoding="utf-8"))
    if count != 1:
        raise SpecError(str(path), f"has {count} lines `revision:`", f"Write `revision: {revision}` there by hand.")
    path.write_text(text, encoding="utf-8")
    print(f"{slug} is pinned to {source.repo} at {revision}.")
    return 0
