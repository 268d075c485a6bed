"""The lineage: every asset of a project, as a table of contents.

Belongs here: the order of the stages, and what is built once per project, per base and per recipe.
"""

from collections.abc import Callable, Sequence

import dagster as dg

from assets_defs.adapter import adapter_asset
from assets_defs.base_model import base_model_asset
from assets_defs.canary import canary_asset
from assets_defs.captions import captions_asset
from assets_defs.evaluation import evaluation_asset
from assets_defs.fold_adapters import fold_adapter_assets
from assets_defs.joint import JOINT, joint_adapter_asset, joint_overview_asset
from assets_defs.latents import latents_asset
from assets_defs.leaderboard import leaderboard_asset
from assets_defs.model_card import model_card_asset
from assets_defs.newest_inputs import newest_inputs_check
from assets_defs.pick import pick_asset
from assets_defs.prior import prior_asset
from assets_defs.prompt_embeddings import prompt_embeddings_asset
from assets_defs.published_before import published_before_asset
from assets_defs.published_model import published_model_asset
from assets_defs.reference_set import reference_set_asset
from assets_defs.roots import root_assets
from assets_defs.samples import samples_asset
from assets_defs.sign_off import sign_off_asset
from assets_defs.stills import stills_asset
from assets_defs.turbo import turbo_assets
from assets_defs.votes import votes_asset
from director_diffusion.catalog import Catalog
from director_diffusion.specs import TIERS, Project
from resources.store import gathered_by


def directors_partitions(catalog: Catalog, project: Project) -> dg.StaticPartitionsDefinition:
    """A partition per director of the project."""
    return dg.StaticPartitionsDefinition([director.slug for director in catalog.project_directors(project)])


def lineage(catalog: Catalog, project: Project) -> Sequence[dg.AssetsDefinition]:
    """From raw stills to the published model."""
    partitions = directors_partitions(catalog, project)
    plan = catalog.evaluations[project.evaluation]
    bases = catalog.project_bases(project)
    assets = [*root_assets(partitions), stills_asset(partitions), captions_asset(partitions, project, bases)]
    assets.append(reference_set_asset(partitions, project, plan))
    assets += [base_model_asset(base) for base in catalog.project_bases_trained_here(project)]
    for base in bases:
        assets += [latents_asset(partitions, base), prompt_embeddings_asset(partitions, base, plan)]
        assets.append(canary_asset(base, plan))
    for recipe in catalog.project_recipes(project):
        base = catalog.bases[recipe.base]
        if recipe.prior is not None:
            assets.append(prior_asset(partitions, base, recipe, recipe.prior))
        assets += [
            pick_asset(partitions, recipe),
            *(
                [adapter_asset(partitions, base, recipe, plan)]
                if plan.folds == 1
                else fold_adapter_assets(partitions, base, recipe, plan)
            ),
            published_before_asset(partitions, recipe),
            *(samples_asset(partitions, base, recipe, plan, tier) for tier in TIERS),
            *(evaluation_asset(partitions, project, base, recipe, plan, tier) for tier in TIERS),
            votes_asset(partitions, recipe, plan),
            sign_off_asset(partitions, recipe),
            model_card_asset(partitions, project, base, recipe, plan),
            published_model_asset(partitions, project, recipe),
            *turbo_assets(partitions, project, base, recipe, plan),
        ]
        if recipe.joint is not None:
            own_split = plan.model_copy(update={"folds": 1})  # it holds out what each director does, and is one adapter
            assets += [
                joint_adapter_asset(partitions, base, recipe, own_split),
                samples_asset(partitions, base, recipe, own_split, "draft", JOINT),
                evaluation_asset(partitions, project, base, recipe, own_split, "draft", JOINT),
                joint_overview_asset(partitions, recipe),
            ]
    assets.append(leaderboard_asset(partitions, catalog.project_recipes(project)))
    return assets


def lineage_checks(
    assets: Sequence[dg.AssetsDefinition], when: Callable[[dg.AssetKey], dg.AutomationCondition]
) -> list[dg.AssetChecksDefinition]:
    """Checks that run by themselves, beside the stages' own: `when` says at which times Dagster does so."""
    partitions = {asset.key: asset.partitions_def for asset in assets}
    gathering = [asset for asset in assets if asset.partitions_def is None and gathered_by(asset)]
    return [newest_inputs_check(asset, partitions, when(asset.key)) for asset in gathering]
