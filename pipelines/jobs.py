"""Jobs: the parts of the graph that people and schedules launch as one."""

from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from assets_defs.canary import CANARY
from assets_defs.freshness import lately_key
from assets_defs.joint import JOINT, JOINT_OVERVIEW
from assets_defs.leaderboard import LEADERBOARD
from assets_defs.training import JOINT_ADAPTER
from assets_defs.turbo_evaluation import TURBO_EVALUATION
from assets_defs.turbo_samples import TURBO_SAMPLES
from assets_defs.votes import VOTES
from director_diffusion.models.trained import BASE_MODEL
from director_diffusion.specs import Base, Project, Recipe

BUILD_BASE = "build_base"
COUNT_VOTES = "count_votes"
LOOK_AT_INPUTS = "look_at_inputs"
RANK = "rank"
PICK, SIGN_OFF = "pick", "sign_off"  # of a recipe, roots too
ROOT_NAMES = ("raw_stills", "still_decisions", "written_captions", "director")


def job_name(recipe: str) -> str:
    return f"make_{recipe}"


def reevaluation_name(recipe: str) -> str:
    return f"reevaluate_{recipe}"


def joint_name(recipe: str) -> str:
    return f"joint_{recipe}"


@dataclass(frozen=True)
class _Job:
    name: str
    selection: dg.AssetSelection
    description: str


def root_selection(project: Project) -> dg.AssetSelection:
    """What people put there: of a director, and of a director and recipe."""
    of_recipes = (dg.AssetKey([recipe, name]) for recipe in project.recipes for name in (PICK, SIGN_OFF))
    return dg.AssetSelection.assets(*ROOT_NAMES, *of_recipes)


def voted_on(*recipes: str) -> dg.AssetSelection:
    """What counts the votes about these recipes."""
    return dg.AssetSelection.assets(*(dg.AssetKey([recipe, VOTES]) for recipe in recipes))


def project_jobs(
    project: Project, recipes: Sequence[Recipe], trained_here: Sequence[Base]
) -> list[UnresolvedAssetJobDefinition]:
    """Per recipe: everything from stills to publication, a re-evaluation, and the adapter of all directors where it
    asks for one; the roots; and bases trained here."""
    wanted = [
        _Job(
            LOOK_AT_INPUTS,
            root_selection(project),
            "Looks at the director's stills, decisions on them, caption files, YAML, picks and sign-offs; "
            "what depends on a change becomes stale.",
        ),
        _Job(COUNT_VOTES, voted_on(*project.recipes), "Counts people's votes about one director."),
        _Job(
            RANK,
            dg.AssetSelection.assets(LEADERBOARD),
            "Sets all directors' adapters side by side, as they are known now.",
        ),
    ]
    distilled = [recipe.slug for recipe in recipes if recipe.turbo is not None]
    for recipe, base in ((one.slug, one.base) for one in recipes):
        with_students = ", its few-step students too" if recipe in distilled else ""
        last = ["published_model", *([TURBO_EVALUATION] if recipe in distilled else [])]
        made = dg.AssetSelection.assets(*(dg.AssetKey([recipe, name]) for name in last))
        drawn_anew = ["samples", "evaluation", *([TURBO_SAMPLES, TURBO_EVALUATION] if recipe in distilled else [])]
        judged = dg.AssetSelection.assets(
            dg.AssetKey([base, CANARY]), *(dg.AssetKey([recipe, name]) for name in drawn_anew)
        )
        wanted += [
            _Job(
                job_name(recipe),
                made.upstream() | voted_on(recipe),
                f"From stills to a published {recipe} of one director{with_students}, "
                "with what people's votes say of it.",
            ),
            _Job(
                reevaluation_name(recipe),
                judged,
                f"Samples and scores {recipe} of one director anew{with_students}; trains nothing, publishes nothing.",
            ),
        ]
    for recipe in (one.slug for one in recipes if one.joint is not None):
        names = (JOINT_ADAPTER, f"{JOINT}samples", f"{JOINT}evaluation", JOINT_OVERVIEW)
        wanted.append(
            _Job(
                joint_name(recipe),
                dg.AssetSelection.assets(*(dg.AssetKey([recipe, name]) for name in names)),
                f"One adapter by {recipe} of all directors, judged for one of them, once each has its own.",
            )
        )
    if trained_here:
        wanted.append(
            _Job(
                BUILD_BASE,
                dg.AssetSelection.assets(*(dg.AssetKey([base.slug, BASE_MODEL]) for base in trained_here)),
                f"Trains from scratch what is not trained yet of {', '.join(base.slug for base in trained_here)}.",
            )
        )
    by_the_clock = dg.AssetSelection.checks(*(lately_key(recipe.slug) for recipe in recipes))
    return [dg.define_asset_job(job.name, job.selection - by_the_clock, description=job.description) for job in wanted]
