"""Reading: from a YAML file that a person wrote to a spec.

Belongs here: errors that name file, key, value and what is allowed.  Where files lie is said elsewhere.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from director_diffusion.careful_yaml import read_yaml
from director_diffusion.errors import SpecError
from director_diffusion.plain_text import escaped

Model = TypeVar("Model", bound=BaseModel)

_MOST_TOLD = 20  # of a file's faults
_MOST_SHOWN = 200  # characters of a value or a key
_MOST_SAID = 400  # of one fault's words


def read_spec(data: bytes, name: str, model: type[Model], *, slug: str | None = None) -> Model:
    """The spec in a file of that name; `slug` is the file's where the model has one.  Raises SpecError."""
    try:
        found = read_yaml(data)
    except ValueError as error:
        raise SpecError(name, f"is not YAML: {escaped(str(error), lines=True)}", "Mend the file.") from error
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
    problems = error.errors(include_url=False)
    lines = [_line(problem, model, data) for problem in problems[:_MOST_TOLD]]
    more = len(problems) - len(lines)
    return "; ".join([*lines, f"and {more} more"] if more else lines)


def _line(problem: ErrorDetails, model: type[BaseModel], data: Mapping[str, Any]) -> str:
    key = _cut(escaped(_key(problem["loc"], data, missing=problem["type"] == "missing"), lines=True), _MOST_SHOWN)
    said = _cut(escaped(problem["msg"].removeprefix("Value error, "), lines=True), _MOST_SAID)
    if problem["type"] == "extra_forbidden":
        allowed = ", ".join(name for name in model.model_fields if name != "slug")
        return f"key {key} is not known (at the top level, allowed are {allowed})"
    if problem["type"] == "missing":
        return f"key {key} is missing"
    if not key:  # of several keys together: the file's whole content would tell nothing
        return said
    return f"key {key} = {_cut(repr(problem['input']), _MOST_SHOWN)}: {said}"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"


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
