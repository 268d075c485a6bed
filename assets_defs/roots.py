"""Roots: what people put into the store and the configs.

Belongs here: looking at the outside world and writing down what is there.  Images, decisions on them and captions are
separate roots, so that editing a caption never touches stills or latents, nor a decision what was hashed of the images.
`LOOKS` does the same for who only wants to know whether it has changed.
"""

from collections.abc import Callable
from pathlib import Path

import dagster as dg

from assets_defs.common import DATASET, DIRECTOR_FILE
from director_diffusion.specs import Director
from director_diffusion.stills.rows import (
    DECISIONS_FILE,
    RAW_FILE,
    WRITTEN_FILE,
    RawFile,
    StillDecision,
    WrittenCaption,
)
from director_diffusion.storage import Store
from resources.configs import ConfigsResource
from resources.stage import stage
from resources.stage_run import StageResult, StageRun

Look = Callable[[Store, ConfigsResource, str, Path], object]
"""Writes what there is of a director into a folder, as the root of that name does."""


def look_at_stills(store: Store, configs: ConfigsResource, director: str, out: Path) -> list[RawFile]:
    from director_diffusion.stills.raw import list_raw_files
    from director_diffusion.tables import write_table

    files = list_raw_files(store, director)
    write_table(out / RAW_FILE, RawFile, files)
    return files


def look_at_captions(store: Store, configs: ConfigsResource, director: str, out: Path) -> list[WrittenCaption]:
    from director_diffusion.stills.raw import list_written_captions
    from director_diffusion.tables import write_table

    captions = list_written_captions(store, director)
    write_table(out / WRITTEN_FILE, WrittenCaption, captions)
    return captions


def look_at_decisions(store: Store, configs: ConfigsResource, director: str, out: Path) -> list[StillDecision]:
    from director_diffusion.stills.raw import list_still_decisions
    from director_diffusion.tables import write_table

    decisions = list_still_decisions(store, director)
    write_table(out / DECISIONS_FILE, StillDecision, decisions)
    return decisions


def look_at_director(store: Store, configs: ConfigsResource, director: str, out: Path) -> Director:
    spec = configs.director(director)
    (out / DIRECTOR_FILE).write_text(spec.model_dump_json(indent=1), encoding="utf-8")
    return spec


LOOKS: dict[str, Look] = {
    "raw_stills": look_at_stills,
    "written_captions": look_at_captions,
    "still_decisions": look_at_decisions,
    "director": look_at_director,
}


def root_assets(partitions: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    @stage(partitions=partitions, group=DATASET, version="1", kinds={"jpeg"}, outside=True)
    def raw_stills(run: StageRun) -> StageResult:
        """The images and masks under `stills/<director>/<film>/`: name, size and hash of each."""
        files = look_at_stills(run.store, run.resources.configs, run.director, run.out)
        return run.result(
            facts={
                "files": len(files),
                "films": len({file.film for file in files}),
                "bytes": sum(file.size for file in files),
                "unreadable": sum(bool(file.problem) for file in files),
            }
        )

    @stage(partitions=partitions, group=DATASET, version="1", kinds={"text"}, outside=True)
    def written_captions(run: StageRun) -> StageResult:
        """The `.txt` files that people put beside stills; they win over the captioner's."""
        captions = look_at_captions(run.store, run.resources.configs, run.director, run.out)
        return run.result(
            facts={"captions": len(captions), "unreadable": sum(bool(caption.problem) for caption in captions)}
        )

    @stage(partitions=partitions, group=DATASET, version="1", kinds={"yaml"}, outside=True)
    def still_decisions(run: StageRun) -> StageResult:
        """The `.decision.yaml` files beside stills: which a person keeps, rejects or crops over the rules."""
        decisions = look_at_decisions(run.store, run.resources.configs, run.director, run.out)
        return run.result(
            facts={
                "kept": sum(one.decision == "keep" for one in decisions),
                "rejected": sum(one.decision == "reject" for one in decisions),
                "cropped": sum(bool(one.crop) for one in decisions),
            }
        )

    @stage(partitions=partitions, group=DATASET, version="1", kinds={"yaml"}, outside=True)
    def director(run: StageRun) -> StageResult:
        """The director's YAML as data, so that an edit of it makes one director stale and not all."""
        spec = look_at_director(run.store, run.resources.configs, run.director, run.out)
        return run.result(
            facts={"name": spec.name, "trigger": spec.trigger, "licence of the stills": spec.stills_licence}
        )

    return [raw_stills, still_decisions, written_captions, director]
