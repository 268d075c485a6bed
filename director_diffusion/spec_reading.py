"""Reading: from a YAML file that a person wrote to a spec.

Belongs here: errors that name file, key, value and what is allowed.  Where files lie is said elsewhere.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from director_diffusion.errors import SpecError

Model = TypeVar("Model", bound=BaseModel)


def read_spec(data: bytes, name: str, model: type[Model], *, slug: str | None = None) -> Model:
    """The spec in a file of that name; `slug` is the file's where the model has one.  Raises SpecError."""
    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        found = yaml.load(data.decode("utf-8-sig"), Loader=loader)  # noqa: S506 — safe, in C where there is that
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SpecError(name, f"is not YAML: {error}", "Mend the file.") from error
    if not isinstance(found, dict):
        raise SpecError(name, "holds no mapping of keys to values", "Start it with lines such as `name: ...`.")
    if slug is not None and "slug" in found:
        raise SpecError(name, "key slug is not allowed", "The slug is the file's name: remove the key.")
    given = found if slug is None else {**found, "slug": slug}
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise SpecError(name, _explain(error, model, given), "Mend the keys named and load again.") from error


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
            data = data[part] if part < len(data) else None  # a list may be too short
    return ".".join(parts)
