"""A director whose stills and captions are made, without the captioner: what people wrote, as the stages keep it."""

from pathlib import Path

from PIL import Image

from director_diffusion.captions.rows import FILE as CAPTIONS
from director_diffusion.captions.rows import Caption
from director_diffusion.catalog import load_catalog
from director_diffusion.progress import Silent
from director_diffusion.stills.ingest import ingest_stills
from director_diffusion.stills.raw import list_raw_files
from director_diffusion.stills.still_set import StillSet
from director_diffusion.storage import Manifest
from director_diffusion.storage.artifact import (
    Artifact,
    content_version,
    describe_files,
    set_latest,
    usable_artifact,
    write_artifact,
)
from director_diffusion.tables import write_table
from tests.exchange.films import scene
from tests.tiny_project import TinyProject

FILMS = ("Cléo", "Vagabond", "The Gleaners")


def finish(project: TinyProject, director: str, *, per_film: int = 6) -> tuple[StillSet, dict[str, str]]:
    """Draw stills and keep them and their captions as the stages do.  Returns them, and the captions by still."""
    for film, title in enumerate(FILMS):
        for number in range(per_film):
            path = project.stills(director) / title / f"{number:03}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(scene(100 * film + number + 1)).save(path)
    rules = load_catalog(project.configs).directors[director].stills
    out = project.folder / "out" / "stills"
    still_set = ingest_stills(project.store, list_raw_files(project.store, director), rules, out, Silent())
    stills = keep(project, "stills", director, out, references=still_set.references)
    captions = {still.still: f"A picture, number {number}." for number, still in enumerate(still_set.kept)}
    captions[still_set.train[0].still] = ""
    rows = [
        Caption(
            still=still.still,
            film=still.film,
            name=still.name,
            split=still.split,
            text=captions[still.still],
            source="person" if captions[still.still] else "none",
            status="ok" if captions[still.still] else "needs_person",
            problems=(),
            attempts=0,
            tokens=8,
        )
        for still in still_set.kept
    ]
    out = project.folder / "out" / "captions"
    out.mkdir(parents=True)
    write_table(out / CAPTIONS, Caption, rows)
    keep(project, "captions", director, out, inputs={"stills": stills.version})
    return StillSet.of(usable_artifact(project.store, ("stills",), director)), captions


def keep(
    project: TinyProject,
    asset: str,
    director: str,
    out: Path,
    *,
    references: tuple[str, ...] = (),
    inputs: dict[str, str] | None = None,
) -> Artifact:
    """Make the files below `out` what readers see."""
    files = describe_files(out)
    version = content_version(files, references)
    manifest = Manifest(
        asset=(asset,),
        partition=director,
        key=f"key-{version[:8]}",
        plain_key=f"key-{version[:8]}",
        version=version,
        files=files,
        references=references,
        inputs=inputs or {},
        code_version="1",
        seconds=0.0,
    )
    artifact = write_artifact(project.store, out, manifest)
    set_latest(artifact)
    return artifact
