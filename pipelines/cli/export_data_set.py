"""`director export --data-set`: a director's finished stills and captions as a folder for another tool.

Belongs here: whose, which of them, and where the folder goes.  Layouts live in `director_diffusion.exchange`.
"""

import sys
from pathlib import Path
from typing import Literal

import dagster as dg
from rich.console import Console

from assets_defs.common import same_making
from director_diffusion.captions.rows import FILE as CAPTIONS
from director_diffusion.captions.rows import Caption
from director_diffusion.exchange.data_set import pairs_of
from director_diffusion.exchange.imagefolder import SPLITS, write_imagefolder
from director_diffusion.exchange.kohya import write_kohya
from director_diffusion.stills.still_set import StillSet
from director_diffusion.storage.artifact import usable_artifact
from pipelines.cli.choices import choose_directors
from pipelines.cli.out_file import check_new_folder, put_folder_in_place
from pipelines.cli.screen import ScreenProgress, Terminal
from pipelines.surroundings import Surroundings, read_surroundings

DataSet = Literal["kohya", "imagefolder"]


def export_data_set_command(director: str, *, data_set: DataSet, repeats: int, all_stills: bool, out: str) -> int:
    """Write what the stages made, as it is; nothing is made anew."""
    surroundings = read_surroundings()
    choose_directors(surroundings, [director])
    spec = surroundings.catalog.directors[director]
    store = surroundings.store()
    stills = usable_artifact(store, ("stills",), director)
    captions = usable_artifact(store, ("captions",), director)
    same_making(captions, dg.AssetKey("stills"), stills, again="captions")
    splits = SPLITS if all_stills or data_set == "imagefolder" else SPLITS[:1]
    pairs = pairs_of(StillSet.of(stills), captions.table(CAPTIONS, Caption), splits)
    target = Path(out).expanduser()
    check_new_folder(target, "--out")
    terminal = Terminal(Console(stderr=True, width=None if sys.stderr.isatty() else 160))
    progress = ScreenProgress(terminal).plain(director)
    with terminal.bars, put_folder_in_place(target, "--out") as folder:
        if data_set == "kohya":
            write_kohya(
                folder,
                pairs,
                trigger=spec.trigger,
                repeats=repeats,
                resolution=_resolution(surroundings),
                home=target.resolve(),
                progress=progress,
            )
        else:
            about = {"Director": spec.name, "Trigger": spec.trigger, "Stills' licence": spec.stills_licence}
            write_imagefolder(folder, pairs, trigger=spec.trigger, about=about, progress=progress)
    bare = sum(not pair.caption for pair in pairs)
    print(f"{out}: {len(pairs)} stills for {data_set}" + (f", {bare} with the trigger alone" if bare else ""))
    return 0


def _resolution(surroundings: Surroundings) -> int | None:
    """The side at which the project's bases are trained, where they agree."""
    sides = {base.resolution.side for base in surroundings.catalog.project_bases(surroundings.project)}
    return sides.pop() if len(sides) == 1 else None
