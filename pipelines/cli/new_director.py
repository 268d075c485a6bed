"""New directors: the YAML of a director who is not there yet.

Belongs here: a draft that is known to be valid, to be put in place when the stills are.
"""

from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError

from director_diffusion.catalog import load_spec
from director_diffusion.errors import SpecError
from director_diffusion.spec_base import Slug
from director_diffusion.specs import Director
from pipelines.surroundings import Surroundings

SCHEMA_LINE = "# yaml-language-server: $schema=../schemas/directors.json\n"


def director_file(surroundings: Surroundings, slug: str) -> Path:
    return surroundings.catalog.folder / "directors" / f"{slug}.yaml"


def check_slug(slug: str) -> None:
    """Raise SpecError unless a director may be called so."""
    try:
        TypeAdapter(Slug).validate_python(slug)
    except ValidationError as error:
        raise SpecError(
            repr(slug),
            "is no slug",
            "Use at most 64 lower-case letters, digits and _, such as agnes_varda.",
        ) from error


def draft_director(target: Path, *, name: str | None, trigger: str | None, licence: str | None) -> Path:
    """The YAML beside its place, known to be a valid director's.  Raises SpecError where it would not be."""
    slug = target.stem
    values = {
        "name": name or slug.replace("_", " ").title(),
        "trigger": trigger or f"{slug.replace('_', ' ')} style",
        "stills_licence": licence or "not stated",
    }
    draft = target.with_suffix(".draft")
    text = SCHEMA_LINE + yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(text, encoding="utf-8")
        load_spec(draft, Director)
    except OSError as error:
        raise SpecError(
            str(target), f"cannot be written: {error.strerror}", "Make that folder writable and run again."
        ) from error
    except SpecError as error:
        draft.unlink(missing_ok=True)
        raise SpecError(
            f"director {target.stem}", error.problem, "Give another --name, --trigger or --licence."
        ) from error
    return draft


def tell_added(surroundings: Surroundings, slug: str) -> None:
    """Say what is left to do for a director who has just been added; a running UI is reloaded."""
    from pipelines.ui_reload import reload_running_ui

    if surroundings.project.directors != "all" and slug not in surroundings.project.directors:
        print(f"Project {surroundings.project.slug} lists its directors: add {slug} to its YAML.")
    print(reload_running_ui())
