"""`director pin`: the Hub's current revision of every model that a base, a recipe, a plan or a project names."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from director_diffusion.catalog import Catalog
from director_diffusion.errors import SpecError
from director_diffusion.models.token import TOKEN_VARIABLE
from director_diffusion.specs import HubSource
from pipelines.surroundings import read_surroundings

Place = tuple[str, ...]  # keys from the top of a YAML file


def pin_command(slug: str) -> int:
    """Ask the Hub for the commit that the `main` of each repository is at, and write it beside its name.

    Whatever is called `slug` is pinned, be it a base, a recipe (its `turbo.baseline`), a plan or a project; nothing
    else in the files is touched.
    """
    from director_diffusion.models.hub import newest_revision

    catalog = read_surroundings().catalog
    sources = {path: dict(hub_sources(spec)) for path, spec in _called(catalog, slug).items()}
    repos = {source.repo for found in sources.values() for source in found.values()}
    if not repos:
        raise SpecError(slug, "takes nothing from the Hub, so there is no revision", "Nothing is to be pinned.")
    newest = {repo: newest_revision(repo, token=os.environ.get(TOKEN_VARIABLE)) for repo in sorted(repos)}
    for path, found in sources.items():
        text = path.read_text(encoding="utf-8")
        revisions = {place: newest[source.repo] for place, source in found.items()}
        path.write_text(with_revisions(text, revisions), encoding="utf-8")
        for place, source in found.items():
            print(f"{slug} {'.'.join(place)} is pinned to {source.repo} at {newest[source.repo]}.")
    return 0


def _called(catalog: Catalog, slug: str) -> dict[Path, BaseModel]:
    """What bears the name, by its file.  Raises SpecError where nothing does."""
    kinds: Mapping[str, Mapping[str, BaseModel]] = {
        "bases": catalog.bases,
        "recipes": catalog.recipes,
        "evaluations": catalog.evaluations,
        "projects": catalog.projects,
    }
    found = {catalog.folder / kind / f"{slug}.yaml": specs[slug] for kind, specs in kinds.items() if slug in specs}
    if not found:
        names = sorted({name for specs in kinds.values() for name in specs})
        raise SpecError(slug, "is no base, recipe, evaluation plan or project", f"Choose of {', '.join(names)}.")
    return found


def hub_sources(spec: BaseModel, place: Place = ()) -> Iterator[tuple[Place, HubSource]]:
    """All Hub sources in a spec, with where its file has them."""
    for name in type(spec).model_fields:
        value: Any = getattr(spec, name)
        if isinstance(value, HubSource):
            yield (*place, name), value
        elif isinstance(value, BaseModel):
            yield from hub_sources(value, (*place, name))


def with_revisions(text: str, revisions: Mapping[Place, str]) -> str:
    """A YAML file's text with the revision of the source at each place; its other characters stay as they are."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    edits = {}
    for place, revision in revisions.items():
        source = _at(root, place)
        keys = {key.value: (key, value) for key, value in source.value}
        if "revision" in keys:
            key, value = keys["revision"]
            start = value.start_mark.index if value.value else key.end_mark.index + 1  # past the colon of an empty one
            edits[start, max(start, value.end_mark.index)] = revision if value.value else f" {revision}"
        else:
            key, value = keys["repo"]
            end = value.end_mark.index
            between = ", " if source.flow_style else f"\n{' ' * key.start_mark.column}"
            edits[end, end] = f"{between}revision: {revision}"
    for (start, end), new in sorted(edits.items(), reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _at(node: Any, place: Place) -> yaml.MappingNode:
    for name in place:
        node = next(value for key, value in node.value if key.value == name)
    assert isinstance(node, yaml.MappingNode)  # the spec was read from this very file
    return node
