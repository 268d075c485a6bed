"""The graph as Dagster sees it: complete, light to load, read like a table of contents."""

import json
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest
import yaml

from director_diffusion.errors import SpecError
from pipelines.build import build_definitions
from pipelines.surroundings import CHECKOUT, read_surroundings
from tests.s3_server import S3Server
from tests.small_configs import change, read, small_configs, surroundings_of
from tests.tiny_project import JOINT, OF_ALL, OF_BASE, OF_JOINT, STAGES

TRAINED_HERE = ["mini/base_model", "mnist/base_model"]


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    folder = tmp_path_factory.mktemp("definitions")
    return build_definitions(read_surroundings({"DIRECTOR_STORE": str(folder), "DAGSTER_HOME": str(folder)}))


def test_every_stage_is_an_asset_partitioned_by_director(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    assert {key.to_user_string() for key in graph.get_all_asset_keys()} == {
        *STAGES,
        *OF_ALL,
        *OF_BASE,
        *OF_JOINT,
        *JOINT,
        *TRAINED_HERE,
    }
    for name in (*STAGES, *OF_JOINT):
        keys = graph.get(dg.AssetKey(name.split("/"))).partitions_def.get_partition_keys()
        assert keys == ["anderson", "fincher", "nolan", "scorsese", "villeneuve"]


def test_an_adapter_of_all_directors_is_made_where_a_recipe_asks_and_of_what_each_has(
    definitions: dg.Definitions, tmp_path: Path
) -> None:
    graph = definitions.resolve_asset_graph()

    def parents(name: str) -> set[str]:
        return {key.to_user_string() for key in graph.get(dg.AssetKey(name.split("/"))).parent_keys}

    for name in JOINT:
        assert graph.get(dg.AssetKey(name.split("/"))).partitions_def is None
    assert parents("mini_lora/joint_adapter") == {"mini/latents", "mini/prompt_embeddings", "director"}
    assert parents("mini_lora/joint_samples") == {"mini_lora/joint_adapter", "director"}
    judged_by = {"stills", "director", "reference_set", "mini/canary"}
    assert parents("mini_lora/joint_evaluation") == {*judged_by, *OF_JOINT[:1], "mini_lora/evaluation"}
    assert parents("mini_lora/joint_overview") == {*OF_JOINT, *JOINT[:1]}
    job = definitions.resolve_job_def("joint_mini_lora")
    assert {key.to_user_string() for key in job.asset_layer.selected_asset_keys} == {*OF_JOINT, *JOINT}

    configs = small_configs(tmp_path)
    for folds in (1, 2):
        change(configs, "evaluations/mini", folds=folds)
        asking = build_definitions(read_surroundings(surroundings_of(tmp_path))).resolve_asset_graph()
        recipe = read(configs, "recipes/mini_lora")
        change(configs, "recipes/mini_lora", joint=None)
        without = build_definitions(read_surroundings(surroundings_of(tmp_path))).resolve_asset_graph()
        assert asking.get_all_asset_keys() - without.get_all_asset_keys() == {
            dg.AssetKey(name.split("/")) for name in (*OF_JOINT, *JOINT)
        }
        for key in without.get_all_asset_keys():
            assert asking.get(key).code_version == without.get(key).code_version, "nothing else knows of it"
        change(configs, "recipes/mini_lora", **recipe)


def test_bases_trained_here_are_assets_of_their_own_with_one_job(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for name in TRAINED_HERE:
        node = graph.get(dg.AssetKey(name.split("/")))
        assert node.partitions_def is None
        assert not node.parent_keys
        assert not node.child_keys, "a shipped base comes from its folder"
    job = definitions.resolve_job_def("build_base")
    assert {key.to_user_string() for key in job.asset_layer.selected_asset_keys} == set(TRAINED_HERE)
    whole = definitions.resolve_job_def("make_mini_lora").asset_layer.selected_asset_keys
    assert {key.to_user_string() for key in whole} == {*STAGES, *OF_BASE}


def test_what_a_recipe_asks_for_is_upstream_of_its_adapter(tmp_path: Path) -> None:
    configs = small_configs(tmp_path)
    recipe = read(configs, "recipes/mini_lora")
    more = {**recipe, "init_from": "mini_lora", "prior": {"pictures": 4, "weight": 0.5}}
    (configs / "recipes" / "mini_more.yaml").write_text(yaml.safe_dump(more))
    change(configs, "projects/demo", recipes=["mini_lora", "mini_more"])
    graph = build_definitions(read_surroundings(surroundings_of(tmp_path))).resolve_asset_graph()

    def parents(name: str) -> set[str]:
        return {key.to_user_string() for key in graph.get(dg.AssetKey(name.split("/"))).parent_keys}

    plain = {"mini/latents", "mini/prompt_embeddings", "director"}
    assert parents("mini_lora/adapter") == {*plain, "mini_lora/pick"}
    assert parents("mini_more/adapter") == {*plain, "mini_more/pick", "mini_more/prior", "mini_lora/adapter"}
    assert parents("mini_more/prior") == {"stills", "captions"}
    assert not graph.has(dg.AssetKey(["mini_lora", "prior"])), "only for recipes that ask"

    def version(name: str) -> str | None:
        return (
            build_definitions(read_surroundings(surroundings_of(tmp_path)))
            .resolve_asset_graph()
            .get(dg.AssetKey(name.split("/")))
            .code_version
        )

    before = version("mini_more/prior")
    change(configs, "recipes/mini_more", prior={"pictures": 4, "weight": 0.7})
    assert version("mini_more/prior") == before, "how much the pictures weigh is not theirs"
    change(configs, "recipes/mini_more", prior={"pictures": 5, "weight": 0.7})
    assert version("mini_more/prior") != before


def test_two_folds_are_two_more_adapters_that_start_from_folds_themselves(tmp_path: Path) -> None:
    configs = small_configs(tmp_path)
    more = {**read(configs, "recipes/mini_lora"), "init_from": "mini_lora", "prior": {"pictures": 4}}
    (configs / "recipes" / "mini_more.yaml").write_text(yaml.safe_dump(more))
    change(configs, "projects/demo", recipes=["mini_lora", "mini_more"])

    one = build_definitions(read_surroundings(surroundings_of(tmp_path))).resolve_asset_graph()
    change(configs, "evaluations/mini", folds=2)
    two = build_definitions(read_surroundings(surroundings_of(tmp_path))).resolve_asset_graph()

    def parents(name: str) -> set[str]:
        return {key.to_user_string() for key in two.get(dg.AssetKey(name.split("/"))).parent_keys}

    folds = [f"mini_more/{name}" for name in ("first_fold_adapter", "second_fold_adapter")]
    plain = {"mini/latents", "mini/prompt_embeddings", "director", "mini_more/prior"}
    for fold in folds:
        assert parents(fold) == {*plain, "stills", fold.replace("more", "lora")}, (
            "which does not know what it holds out"
        )
    assert parents("mini_more/adapter") == {*plain, *folds, "mini_more/pick", "mini_lora/adapter"}
    for name in ("samples", "release_samples", "model_card"):
        assert set(folds) <= parents(f"mini_more/{name}")
    kept = one.get_all_asset_keys()
    assert len(two.get_all_asset_keys() - kept) == 4
    changed = {key.path[-1] for key in kept if one.get(key).code_version != two.get(key).code_version}
    assert changed <= {"evaluation", "release_evaluation", "model_card"}


def test_previews_are_drawn_again_where_the_plan_changes_them_and_judge_nothing(tmp_path: Path) -> None:
    configs = small_configs(tmp_path)

    def versions() -> dict[str, str | None]:
        graph = build_definitions(read_surroundings(surroundings_of(tmp_path))).resolve_asset_graph()
        return {key.to_user_string(): graph.get(key).code_version for key in graph.get_all_asset_keys()}

    before = versions()
    change(configs, "evaluations/mini", previews={"prompts": ["a tower at night"], "steps": 1})
    after = versions()
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"mini_lora/adapter", "mini_lora/joint_adapter", "mini/prompt_embeddings"}


def test_every_stage_tells_what_it_is(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert len(node.description or "") > 30, key
        assert node.kinds, key
        assert node.owners, key
        assert node.code_version, key
        assert node.group_name in {"dataset", "evaluation", "mini", "mini_lora", "mnist"}, key


def test_images_and_captions_are_apart(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()

    def ancestors(name: str) -> set[str]:
        selection = dg.AssetSelection.assets(dg.AssetKey(name.split("/"))).upstream(include_self=False)
        return {key.to_user_string() for key in selection.resolve(graph)}

    assert ancestors("mini/latents") == {"raw_stills", "still_decisions", "director", "stills"}
    assert "mini/latents" in ancestors("mini_lora/adapter")
    assert "captions" in ancestors("mini/prompt_embeddings")


def test_a_draft_is_judged_before_a_release_and_a_release_before_the_card(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()

    def parents(name: str) -> set[str]:
        return {key.to_user_string() for key in graph.get(dg.AssetKey(["mini_lora", name])).parent_keys}

    judged_by = {"stills", "director", "reference_set", "mini/canary", "mini_lora/published_before"}
    assert parents("evaluation") == {*judged_by, "mini_lora/samples"}
    assert parents("release_samples") == {
        "director",
        *(f"mini_lora/{name}" for name in ("adapter", "samples", "evaluation")),
    }
    assert parents("release_evaluation") == {*judged_by, "mini_lora/release_samples"}
    for name in ("model_card", "published_model"):
        assert "mini_lora/release_evaluation" in parents(name)
        assert "mini_lora/evaluation" not in parents(name)
    assert parents("published_before") == {"mini_lora/adapter"}
    assert parents("sign_off") == set()


def test_every_question_of_a_verdict_is_a_check_of_its_own(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for name in ("evaluation", "release_evaluation"):
        keys = graph.get(dg.AssetKey(["mini_lora", name])).check_keys
        assert {key.name for key in keys} - {"evaluated_lately"} == {
            "verdict", "style", "prompt", "memorisation", "diversity", "own_style", "no_regression",
        }  # fmt: skip


def test_more_seeds_of_a_release_draw_nothing_for_the_draft(tmp_path: Path) -> None:
    configs = small_configs(tmp_path)

    def versions() -> dict[str, str | None]:
        graph = build_definitions(read_surroundings(surroundings_of(tmp_path))).resolve_asset_graph()
        return {key.to_user_string(): graph.get(key).code_version for key in graph.get_all_asset_keys()}

    before = versions()
    change(configs, "evaluations/mini", release_seeds=[12, 13])
    after = versions()
    changed = {name for name in before if before[name] != after[name]}
    assert "mini_lora/release_samples" in changed
    assert not {"mini_lora/samples", "mini_lora/adapter", "reference_set"} & changed


def test_the_pool_of_gpu_steps(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    pooled = {key.to_user_string() for key in graph.get_all_asset_keys() if "gpu" in (graph.get(key).pools or set())}
    assert pooled == {
        "captions",
        "reference_set",
        "mini/latents",
        "mini/prompt_embeddings",
        "mini/canary",
        "mini_lora/adapter",
        "mini_lora/samples",
        "mini_lora/evaluation",
        "mini_lora/release_samples",
        "mini_lora/release_evaluation",
        "mini_lora/joint_adapter",
        *OF_JOINT,
        *TRAINED_HERE,
    }


@pytest.mark.parametrize("project", sorted(path.stem for path in (CHECKOUT / "configs" / "projects").glob("*.yaml")))
@pytest.mark.parametrize("deployment", ["local", "gpu"])
def test_every_project_loads_on_every_deployment(project: str, deployment: str, tmp_path: Path) -> None:
    surroundings = read_surroundings(
        {"DIRECTOR_PROJECT": project, "DIRECTOR_DEPLOYMENT": deployment, "DAGSTER_HOME": str(tmp_path)}
    )
    dg.Definitions.validate_loadable(build_definitions(surroundings))


def test_two_deployments_have_the_same_code_versions(tmp_path: Path) -> None:
    def versions(deployment: str) -> dict[str, str | None]:
        environment = {"DIRECTOR_DEPLOYMENT": deployment, "DAGSTER_HOME": str(tmp_path)}
        graph = build_definitions(read_surroundings(environment)).resolve_asset_graph()
        return {key.to_user_string(): graph.get(key).code_version for key in graph.get_all_asset_keys()}

    assert versions("local") == versions("gpu")


def test_loading_imports_neither_torch_nor_pandas() -> None:
    code = (
        "import json, sys; import pipelines.definitions; "
        "print(json.dumps([m for m in ('torch', 'pandas', 'diffusers', 'transformers', 'peft', 'open_clip', 'scipy', "
        "'s3fs', 'botocore') if m in sys.modules]))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=CHECKOUT, timeout=120
    )
    assert json.loads(result.stdout.splitlines()[-1]) == []


def test_loading_asks_a_bucket_nothing(s3: S3Server, bucket: str, tmp_path: Path) -> None:
    with s3.counted() as asked:
        definitions = build_definitions(read_surroundings({"DIRECTOR_STORE": bucket, "DAGSTER_HOME": str(tmp_path)}))
        dg.Definitions.validate_loadable(definitions)
    assert asked == []


@pytest.mark.parametrize(
    ("given", "where", "most"),
    [
        ({}, "~/.cache/director-diffusion/store", 20e9),
        ({"XDG_CACHE_HOME": "/caches"}, "/caches/director-diffusion/store", 20e9),
        ({"DIRECTOR_STORE_CACHE": "/scratch", "DIRECTOR_STORE_CACHE_GB": "0.5"}, "/scratch", 0.5e9),
        ({"DIRECTOR_STORE_CACHE_GB": "0"}, "~/.cache/director-diffusion/store", 0),
    ],
)
def test_the_environment_says_what_is_kept_of_a_bucket(given: dict[str, str], where: str, most: float) -> None:
    surroundings = read_surroundings(given)
    assert (surroundings.store_cache, surroundings.store_cache_bytes) == (Path(where).expanduser(), most)


def test_a_size_that_is_none_is_refused() -> None:
    for wrong in ("much", "-1", "inf"):
        with pytest.raises(SpecError, match="DIRECTOR_STORE_CACHE_GB: is "):
            read_surroundings({"DIRECTOR_STORE_CACHE_GB": wrong})


def test_dg_check_defs_passes(tmp_path: Path) -> None:
    started = time.monotonic()
    result = subprocess.run(
        [str(Path(sys.executable).with_name("dg")), "check", "defs"],
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "VIRTUAL_ENV": str(Path(sys.executable).parents[1])},
        timeout=180,
    )
    assert result.returncode == 0, f"after {time.monotonic() - started:.0f} s: {result.stdout}{result.stderr}"
