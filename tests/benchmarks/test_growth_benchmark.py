"""The graph with empty bodies, by which the benchmark of growth tells Dagster's part, has every job of the real one."""

from assets_defs.freshness import freshness_checks
from assets_defs.lineage import directors_partitions, lineage
from benchmarks.growing.empty import emptied
from director_diffusion.catalog import load_catalog
from pipelines.jobs import project_jobs
from pipelines.surroundings import CHECKOUT


def test_the_empty_graph_runs_the_real_ones_jobs() -> None:
    catalog = load_catalog(CHECKOUT / "configs")
    project = catalog.projects["demo"]
    recipes, partitions = catalog.project_recipes(project), directors_partitions(catalog, project)
    jobs = project_jobs(project, recipes, catalog.project_bases_trained_here(project))
    assets = lineage(catalog, project)
    empty = emptied(list(assets), list(jobs), freshness_checks(partitions, recipes, days=7))
    for job in jobs:
        chosen = empty.resolve_job_def(job.name).asset_layer.selected_asset_keys
        assert chosen == job.selection.resolve(empty.resolve_asset_graph())
    keys = empty.resolve_asset_graph().materializable_asset_keys
    assert keys == {key for asset in assets for key in asset.keys}
