"""The catalog: every spec under a configs folder, read once and checked against each other.

Belongs here: reading YAML into specs, errors that name file, key and value, and the JSON Schemas for editors.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from director_diffusion.catalog_checks import check_references
from director_diffusion.errors import SpecError
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
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SpecError(str(path), f"is not YAML: {error}", "Mend the file.") from error
    except OSError as error:
        raise SpecError(str(path), f"cannot be read: {error.strerror}", "Give this user read access to it.") from error
    if not isinstance(data, dict):
        raise SpecError(str(path), "holds no mapping of keys to values", "Start it with lines such as `name: ...`.")
    if "slug" in data:
        raise SpecError(str(path), "key slug is not allowed", "The slug is the file's name: remove the key.")
    given = {**data, "slug": path.stem}
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise SpecError(str(path), _explain(error, model, given), "Mend the keys named and load again.") from error


def json_schemas() -> dict[str, str]:
    """JSON Schema text by kind, as kept in `configs/schemas/`."""
    return {kind: json.dumps(_editor_schema(model), indent=2) + "\n" for kind, model in KINDS.items()}


def write_schemas(folder: Path) -> None:
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


def _explain(error: ValidationError, model: type[BaseModel], data: Mapping[str, Any]) -> str:
    lines = []
    for problem in error.errors():
        key = _key(problem["loc"], data, missing=problem["type"] == "missing")
        if problem["type"] == "extra_forbidden":
            allowed = ", ".join(name for name in model.model_fields if name != "slug")
            lines.append(f"key {key} is not known (at the top level, allowed are {allowed})")
        elif problem["type"] == "missing":
            lines.append(f"key {key} is missing")
        elif not key:  # of several keys together: the file's whole content would tell nothing
            lines.append(problem["msg"].removeprefix("Value error, "))
        else:
            lines.append(f"key {key} = {problem['input']!r}: {problem['msg'].removeprefix('Value error, ')}")
    return "; ".join(lines)


def _key(location: Sequence[int | str], data: Any, *, missing: bool) -> str:
    """A place in a file as its writer sees it: pydantic also names the `kind` of what it takes a mapping for.

    Its last part is not there where it is `missing`.
    """
    parts = []
    for place, part in enumerate(location, start=1):
        if isinstance(data, Mapping) and part not in data and not (missing and place == len(location)):
            continue
        parts.append(str(part))
        if isinstance(data, Mapping):
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int):
            data = data[part]
    return ".".join(parts)


def _editor_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of a file: the model's, less the slug, which is the file's name."""
    schema = model.model_json_schema()
    schema["properties"].pop("slug")
    schema["required"] = [name for name in schema.get("required", []) if name != "slug"]
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return schema
