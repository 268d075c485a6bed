"""Leaderboard: all directors' adapters by all recipes, side by side.

Belongs here: the stage that gathers what others say of them.  What a row tells, and in which order, is
`director_diffusion.leaderboard`'s.
"""

from collections.abc import Mapping, Sequence

import dagster as dg

from director_diffusion.leaderboard.chains import JOINT, OWN, TURBO, VOTES, assets_of
from director_diffusion.specs import Recipe
from director_diffusion.storage import Artifact
from director_diffusion.storage.artifact import UNPARTITIONED
from resources.stage import stage
from resources.stage_run import StageResult, StageRun

LEADERBOARD = "leaderboard"


def leaderboard_asset(partitions: dg.PartitionsDefinition, recipes: Sequence[Recipe]) -> dg.AssetsDefinition:
    slugs = partitions.get_partition_keys()
    read = {(recipe.slug, name): f"{recipe.slug}__{name}" for recipe in recipes for name in _read_of(recipe)}

    @stage(
        partitions=None,
        name=LEADERBOARD,
        group="evaluation",
        version="2",
        spec={"directors": slugs, "recipes": {recipe.slug: recipe.base for recipe in recipes}},
        gathers={name: dg.AssetKey(key) for key, name in read.items()},
        kinds={"parquet", "json"},
        outside=True,  # paces, seconds and what is of what stand in manifests, of which no version tells
    )
    def leaderboard(run: StageRun, **gathered: dict[str, Artifact]) -> StageResult:
        """Every director by every recipe: effects, verdicts, votes, size, training and speed, the surest first."""
        from director_diffusion.leaderboard.columns import table_of, title_of
        from director_diffusion.leaderboard.entries import entries_of
        from director_diffusion.leaderboard.rows import ranked, write_leaderboard

        def made(recipe: str, director: str) -> Mapping[str, Artifact]:
            given = {name: gathered[argument] for (slug, name), argument in read.items() if slug == recipe}
            of = {name: found.get(director, found.get(UNPARTITIONED)) for name, found in given.items()}
            return {name: one for name, one in of.items() if one is not None}

        entries = ranked(
            entry
            for recipe in recipes
            for director in slugs
            for entry in entries_of(recipe.slug, recipe.base, director, made(recipe.slug, director))
        )
        write_leaderboard(entries, run.out)
        unjudged = [title_of(entry) for entry in entries if entry.verdict is None]
        return run.result(
            facts={
                "adapters": len(entries),
                "passed": sum(entry.verdict == "pass" for entry in entries),
                **({"not judged": "; ".join(unjudged)} if unjudged else {}),
            },
            pictures={"leaderboard": table_of(entries)},
        )

    return leaderboard


def _read_of(recipe: Recipe) -> tuple[str, ...]:
    """The recipe's assets that say something."""
    joint, turbo = (JOINT if recipe.joint is not None else ()), (TURBO if recipe.turbo is not None else ())
    return assets_of(*OWN, VOTES, *joint, *turbo)
