"""The catalog: every spec under a configs folder, read once and checked against each other.

Belongs here: which files there are, what they must agree on, and the JSON Schemas for editors.  Reading one is
`spec_reading`'s.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from director_diffusion.careful_yaml import MOST_BYTES
from director_diffusion.catalog_checks import check_references
from director_diffusion.errors import SpecError
from director_diffusion.plain_text import escaped
from director_diffusion.spec_reading import read_spec
from director_diffusion.specs import Base, Deployment, Director, EvaluationPlan, Project, Recipe

Model = TypeVar("Model", bound=BaseModel)

KINDS: dict[str, type[BaseModel]] = {
    "directors": Director,
    "bases": Base,
    "recipes": Recipe,
    "evaluations": EvaluationPlan,
    "projects": Project,
    "deployments": Deployment,
}


@dataclass(frozen=True)
class Catalog:
    """All specs of a configs folder, by slug."""

    folder: Path
    directors: Mapping[str, Director]
    bases: Mapping[str, Base]
    recipes: Mapping[str, Recipe]
    evaluations: Mapping[str, EvaluationPlan]
    projects: Mapping[str, Project]
    deployments: Mapping[str, Deployment]

    def project(self, slug: str) -> Project:
        return _pick(self.projects, slug, self.folder / "projects")

    def deployment(self, slug: str) -> Deployment:
        return _pick(self.deployments, slug, self.folder / "deployments")

    def project_directors(self, project: Project) -> list[Director]:
        """The directors of a project, in the order of their slugs (or as its list says)."""
        if project.directors == "all":
            return list(self.directors.values())
        return [self.directors[slug] for slug in project.directors]

    def project_recipes(self, project: Project) -> list[Recipe]:
        return [self.recipes[slug] for slug in project.recipes]

    def project_bases(self, project: Project) -> list[Base]:
        """The bases that a project's recipes use, each once."""
        return [self.bases[slug] for slug in dict.fromkeys(recipe.base for recipe in self.project_recipes(project))]

    def project_bases_trained_here(self, project: Project) -> list[Base]:
        """The bases that a project trains itself: its recipes' where their file says how, and those it lists."""
        used = {base.slug: base for base in self.project_bases(project)}
        listed = {slug: self.bases[slug] for slug in project.bases}
        return [base for base in {**used, **listed}.values() if base.trained_here is not None]


def load_catalog(folder: Path) -> Catalog:
    """Read every file below `folder`.  Raises SpecError naming file, key, value and what is allowed."""
    if not folder.is_dir():
        raise SpecError(str(folder), "is not a folder of configs", "Point DIRECTOR_CONFIGS at one.")
    specs: dict[str, dict[str, Any]] = {kind: _load_kind(folder / kind, model) for kind, model in KINDS.items()}
    catalog = Catalog(folder=folder, **specs)
    check_references(catalog)
    return catalog


def load_spec(path: Path, model: type[Model]) -> Model:
    """Read one YAML file as `model`; its slug is the file's name."""
    name = escaped(str(path), lines=False)
    try:
        if path.exists() and not path.is_file():  # reading a pipe would wait for ever
            raise SpecError(name, "is no file", "Remove it, or put the file in its place.")
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise SpecError(name, f"cannot be read: {error.strerror}", "Give this user read access to it.") from error
    return read_spec(data, name, model, slug=path.stem)


def json_schemas() -> dict[str, str]:
    """JSON Schema text by kind, as kept in `configs/schemas/`."""
    return {kind: json.dumps(_editor_schema(model), indent=2) + "\n" for kind, model in KINDS.items()}


def write_schemas(folder: Path) -> None:
    """Write a JSON Schema for each kind of spec into `folder`, over those that are there: what `make schemas` does."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind, text in json_schemas().items():
        (folder / f"{kind}.json").write_text(text, encoding="utf-8")


def _load_kind(folder: Path, model: type[Model]) -> dict[str, Model]:
    return {path.stem: load_spec(path, model) for path in sorted(folder.glob("*.yaml"))}


def _pick(specs: Mapping[str, Model], slug: str, folder: Path) -> Model:
    if slug not in specs:
        raise SpecError(
            str(folder / f"{slug}.yaml"), "does not exist", f"Choose one of {', '.join(specs) or 'none'}, or write it."
        )
    return specs[slug]


def _editor_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of a file: the model's, less the slug, which is the file's name."""
    schema = model.model_json_schema()
    schema["properties"].pop("slug")
    schema["required"] = [name for name in schema.get("required", []) if name != "slug"]
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return schema
