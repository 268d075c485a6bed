"""Pick: a person's choice of a training's step, as an input.

Belongs here: the root asset of a recipe.  `director pick` writes what it looks at.
"""

from pathlib import Path

import dagster as dg

from director_diffusion.specs import Recipe
from director_diffusion.storage import Store
from director_diffusion.training.picks import FILE, encode_pick, read_pick
from director_diffusion.training.rows import Pick
from resources.stage import stage
from resources.stage_run import StageResult, StageRun


def look_at_pick(store: Store, recipe: str, director: str, out: Path) -> Pick | None:
    found = read_pick(store, recipe, director)
    (out / FILE).write_text(encode_pick(found), encoding="utf-8")
    return found


def pick_asset(partitions: dg.PartitionsDefinition, recipe: Recipe) -> dg.AssetsDefinition:
    @stage(partitions=partitions, prefix=recipe.slug, group=recipe.slug, version="1", kinds={"json"}, outside=True)
    def pick(run: StageRun) -> StageResult:
        """Which step of the training a person chose over the training's own, with who and why; mostly none."""
        found = look_at_pick(run.store, recipe.slug, run.director, run.out)
        if found is None:
            return run.result(facts={"picked": "nothing: the training chooses"})
        return run.result(
            facts={"picked": f"step {found.step}", "strength": found.strength, "who": found.who, "why": found.why}
        )

    return pick
