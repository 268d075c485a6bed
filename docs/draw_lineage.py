"""Draws the lineage from the definitions, between the marks of docs/architecture.md.

    python -m docs.draw_lineage

A test says where the picture is no longer what the definitions are.  Belongs here: which options are shown, and how.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import dagster as dg
from dagster import AllPartitionMapping
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

from director_diffusion.catalog import Catalog
from director_diffusion.specs import Joint, Prior, Project
from director_diffusion.specs.bases import TrainedSource
from docs.marked import Marks
from pipelines.build import build_definitions
from pipelines.surroundings import CHECKOUT, read_surroundings

MARKS = Marks("<!-- lineage: python -m docs.draw_lineage -->", "<!-- end of lineage -->")
BASE, RECIPE, OTHER, TURBO, UNET = "mini", "mini_lora", "mini_lokr", "mini_lora_turbo", "sd15_lora_turbo"
NAMES = {BASE: "base", RECIPE: "recipe", OTHER: "other recipe", "sd15": "base"}

Edge = tuple[str, str]
Variant = Callable[[Catalog, Project], tuple[Catalog, Project]]


@dataclass(frozen=True)
class Graph:
    """Assets, what reads what, and which of that is of all directors."""

    assets: dict[str, bool]  # in lineage order; whether there is one of each director
    edges: dict[Edge, bool]  # whether all directors' are read


def with_recipe(**changes: object) -> Variant:
    """The plain recipe with these settings."""

    def variant(catalog: Catalog, project: Project) -> tuple[Catalog, Project]:
        return _with(catalog, RECIPE, **changes), project

    return variant


def _with(catalog: Catalog, slug: str, **changes: object) -> Catalog:
    recipe = catalog.recipes[slug].model_copy(update=changes)
    return replace(catalog, recipes={**catalog.recipes, slug: recipe})


def taught(of: str) -> Variant:
    """The plain recipe with the students of another."""

    def variant(catalog: Catalog, project: Project) -> tuple[Catalog, Project]:
        recipe = catalog.recipes[of]
        return _with(catalog, RECIPE, turbo=recipe.turbo, base=recipe.base), project

    return variant


def started_from_another(catalog: Catalog, project: Project) -> tuple[Catalog, Project]:
    first = catalog.recipes[RECIPE].model_copy(update={"slug": OTHER})
    catalog = _with(replace(catalog, recipes={**catalog.recipes, OTHER: first}), RECIPE, init_from=OTHER)
    return catalog, project.model_copy(update={"recipes": (OTHER, RECIPE)})


def two_folds(catalog: Catalog, project: Project) -> tuple[Catalog, Project]:
    plan = catalog.evaluations[project.evaluation].model_copy(update={"folds": 2})
    return replace(catalog, evaluations={**catalog.evaluations, project.evaluation: plan}), project


def base_trained_here(catalog: Catalog, project: Project) -> tuple[Catalog, Project]:
    def of(part: str) -> TrainedSource:
        return TrainedSource(kind="base_model", base=BASE, part=part)

    base = catalog.bases[BASE].model_copy(update={"source": of("base")})
    captioner = project.captioner.model_copy(update={"source": of("captioner")})
    plan = catalog.evaluations[project.evaluation]
    embedder = plan.embedder.model_copy(update={"source": of("embedder")})
    plans = {**catalog.evaluations, plan.slug: plan.model_copy(update={"embedder": embedder})}
    catalog = replace(catalog, bases={**catalog.bases, BASE: base}, evaluations=plans)
    return catalog, project.model_copy(update={"captioner": captioner})


OPTIONS: dict[str, Variant] = {
    "prior": with_recipe(prior=Prior()),
    "init_from": started_from_another,
    "folds: 2": two_folds,
    "turbo": taught(TURBO),
    "turbo of a UNet": taught(UNET),
    "joint": with_recipe(joint=Joint()),
    "base_model": base_trained_here,
}


def graph_of(variant: Variant | None) -> Graph:
    """The definitions of the demo's plain recipe, or with one option."""
    found = read_surroundings({"DIRECTOR_CONFIGS": str(CHECKOUT / "configs"), "DIRECTOR_PROJECT": "demo"})
    catalog = _with(found.catalog, RECIPE, joint=None)
    project = found.project.model_copy(update={"bases": ()})
    if variant is not None:
        catalog, project = variant(catalog, project)
    definitions = build_definitions(replace(found, catalog=catalog, project=project))
    graph = definitions.resolve_asset_graph()
    order = list(graph.toposorted_asset_keys)
    return Graph(
        {_name(key): graph.get(key).partitions_def is not None for key in order},
        {
            (_name(parent), _name(key)): _of_all(graph, parent, key)
            for key in order
            for parent in sorted(graph.get(key).parent_keys)
        },
    )


def _of_all(graph: AssetGraph, parent: dg.AssetKey, key: dg.AssetKey) -> bool:
    node = graph.get(key)
    if graph.get(parent).partitions_def is None:
        return False
    return node.partitions_def is None or isinstance(node.partition_mappings.get(parent), AllPartitionMapping)


def _name(key: dg.AssetKey) -> str:
    return "/".join([NAMES.get(part, part) for part in key.path])


def picture() -> str:
    """Mermaid: boxes by group; dashed is what an option adds, thick what is read of all directors."""
    plain = graph_of(None)
    assets, edges = dict(plain.assets), dict(plain.edges)
    options: dict[Edge | str, str] = {}
    for option, variant in OPTIONS.items():
        graph = graph_of(variant)
        for name, partitioned in graph.assets.items():
            if name not in assets and not name.startswith("other recipe/"):
                assets[name], options[name] = partitioned, option
        for edge, of_all in graph.edges.items():
            if edge in edges or edge[1].startswith("other recipe/"):
                continue
            if edge[0].startswith("other recipe/") and edge[1] == "leaderboard":
                continue  # as any recipe's
            edges[edge], options[edge] = of_all, option
            assets.setdefault(edge[0], True)
    return (
        "\n".join(["flowchart LR", *_boxes(assets, options), *_arrows(edges, options), *_styles(assets, options)])
        + "\n"
    )


def _boxes(assets: dict[str, bool], options: dict[Edge | str, str]) -> Iterator[str]:
    for group in sorted({name.rpartition("/")[0] for name in assets}):
        members = [name for name in assets if name.rpartition("/")[0] == group]
        if group:
            yield f'  subgraph {_id(group)}_group["{group}"]'
        for name in members:
            label = name.rpartition("/")[2] + (f"<br/>({options[name]})" if name in options else "")
            left, right = ("[", "]") if assets[name] else ("([", "])")
            yield f'  {"  " if group else ""}{_id(name)}{left}"{label}"{right}'
        if group:
            yield "  end"


def _arrows(edges: dict[Edge, bool], options: dict[Edge | str, str]) -> Iterator[str]:
    for (parent, child), of_all in edges.items():
        option = options.get((parent, child))
        own = option is not None and option not in (options.get(parent), options.get(child))  # else a box says it
        line = "==>" if of_all else "-.->" if option else "-->"
        yield f"  {_id(parent)} {line}{f'|{option}|' if own else ''} {_id(child)}"


def _styles(assets: dict[str, bool], options: dict[Edge | str, str]) -> Iterator[str]:
    if optional := [_id(name) for name in assets if name in options]:
        yield "  classDef option stroke-dasharray: 4 4"
        yield f"  class {','.join(optional)} option"


def _id(name: str) -> str:
    return name.replace("/", "__").replace(" ", "_")


def fenced(drawn: str) -> str:
    """The picture as it stands on the page."""
    return f"```mermaid\n{drawn}```\n"


if __name__ == "__main__":
    MARKS.write(fenced(picture()))
