"""Sign-off: adapters that a person answers for in spite of their verdict, as an input.

Belongs here: the root asset of a recipe.  `director sign-off` writes what it looks at.
"""

from collections.abc import Sequence
from pathlib import Path

import dagster as dg

from director_diffusion.publishing.sign_offs import FILE, SHOWN, SignOff, encode_sign_offs, read_sign_offs, standing
from director_diffusion.specs import Recipe
from director_diffusion.storage import Store
from resources.stage import stage
from resources.stage_run import StageResult, StageRun


def look_at_sign_offs(store: Store, recipe: str, director: str, out: Path) -> Sequence[SignOff]:
    found = standing(read_sign_offs(store, recipe, director))
    (out / FILE).write_text(encode_sign_offs(found), encoding="utf-8")
    return found


def sign_off_asset(partitions: dg.PartitionsDefinition, recipe: Recipe) -> dg.AssetsDefinition:
    @stage(partitions=partitions, prefix=recipe.slug, group=recipe.slug, version="1", kinds={"json"}, outside=True)
    def sign_off(run: StageRun) -> StageResult:
        """Which adapter versions may go out though their verdict does not pass, by whose word and why; mostly none."""
        found = look_at_sign_offs(run.store, recipe.slug, run.director, run.out)
        if not found:
            return run.result(facts={"signed off": "nothing: the verdict decides"})
        return run.result(
            facts={
                f"adapter {entry.adapter_version[:SHOWN]}": f"{entry.who}, {entry.date}: {entry.why}" for entry in found
            }
        )

    return sign_off
