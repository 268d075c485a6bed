"""Configs: what ships is valid and its schemas current; what is wrong is named with file, key and way out."""

from pathlib import Path

import pytest
import yaml

from director_diffusion.catalog import KINDS, Catalog, json_schemas, load_catalog, load_spec
from director_diffusion.errors import SpecError
from director_diffusion.specs import Deployment, Director, HubSource, Recipe

CONFIGS = Path(__file__).parents[2] / "configs"
RECIPE = yaml.safe_load((CONFIGS / "recipes" / "mini_lora.yaml").read_text())


def test_the_shipped_catalog_is_whole() -> None:
    catalog = load_catalog(CONFIGS)
    assert set(catalog.directors) >= {"nolan", "scorsese", "anderson", "villeneuve", "fincher"}
    assert set(catalog.bases) >= {"mini", "flux_krea_dev"}
    assert set(catalog.recipes) >= {"mini_lora", "krea_lora"}
    assert set(catalog.projects) >= {"demo", "krea"}
    assert set(catalog.deployments) >= {"local", "gpu"}
    assert len(catalog.evaluations["film"].prompts) >= 48


def test_the_schemas_for_editors_are_current() -> None:
    for kind, text in json_schemas().items():
        assert (CONFIGS / "schemas" / f"{kind}.json").read_text() == text, "run: make schemas"


def test_every_config_names_its_schema() -> None:
    for path in (path for kind in KINDS for path in (CONFIGS / kind).glob("*.yaml")):
        assert f"$schema=../schemas/{path.parent.name}.json" in path.read_text().splitlines()[0], path


def write(tmp_path: Path, name: str, data: object) -> Path:
    path = tmp_path / f"{name}.yaml"
    path.write_text(data if isinstance(data, str) else yaml.safe_dump(data))
    return path


def test_an_unknown_key_is_named_with_what_is_allowed(tmp_path: Path) -> None:
    path = write(tmp_path, "r", {**RECIPE, "learning_rate": 1})
    with pytest.raises(SpecError, match=r"r\.yaml: key learning_rate is not known .*optimizer"):
        load_spec(path, Recipe)


def test_a_rank_of_zero_is_refused_with_its_bound(tmp_path: Path) -> None:
    path = write(tmp_path, "r", {**RECIPE, "adapter": {**RECIPE["adapter"], "rank": 0}})
    with pytest.raises(SpecError, match=r"key adapter\.rank = 0: .*greater than or equal to 1"):
        load_spec(path, Recipe)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"steps": 10, "schedule": {"warmup_steps": 10}}, "warmup_steps 10 must be below steps 10"),
        ({"optimizer": {"kind": "adamw", "lr": float("nan")}}, "optimizer.lr"),
        ({"steps": "many"}, "steps = 'many'"),
        ({"base": "../mini"}, "base = '../mini'"),
    ],
)
def test_values_out_of_bounds_are_named(tmp_path: Path, change: dict[str, object], words: str) -> None:
    with pytest.raises(SpecError, match=words.replace(".", r"\.").replace("../", r"\.\./")):
        load_spec(write(tmp_path, "r", {**RECIPE, **change}), Recipe)


@pytest.mark.parametrize("text", ["- a\n- b\n", "", "a: [1,", "\x00"])
def test_what_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SpecError, match=r"r\.yaml"):
        load_spec(write(tmp_path, "r", text), Recipe)


def test_a_file_name_that_is_no_slug_is_refused(tmp_path: Path) -> None:
    director = {"name": "A", "trigger": "a style", "stills_licence": "mine"}
    with pytest.raises(SpecError, match="slug"):
        load_spec(write(tmp_path, "Wes-Anderson", director), Director)


def test_a_deployment_cannot_ask_for_a_device_it_has_not(tmp_path: Path) -> None:
    data = {"store": "s", "device": "cuda", "gpus": 0, "hub": {"kind": "folder"}}
    with pytest.raises(SpecError, match="cuda needs 1 or more"):
        load_spec(write(tmp_path, "d", data), Deployment)
    for name in ("training_processes", "directors_at_once"):
        with pytest.raises(SpecError, match=f"{name} 5 is more than gpus 4: each has one of its own"):
            load_spec(write(tmp_path, "d", data | {"gpus": 4, name: 5}), Deployment)
        assert getattr(load_spec(write(tmp_path, "d", data | {"gpus": 4, name: 2}), Deployment), name) == 2
    assert load_spec(write(tmp_path, "d", data | {"gpus": 4}), Deployment).training_processes == 1


@pytest.mark.parametrize(
    ("votes", "told"),
    [
        ("votes.sqlite", "key votes must begin with sqlite:/// or postgresql://"),
        ("postgresql://ann:geheim@db/votes", "leave it to PGPASSWORD"),
        ("postgresql://db/votes?password=geheim", "leave it to PGPASSWORD"),
    ],
)
def test_a_ledger_is_named_without_its_password(tmp_path: Path, votes: str, told: str) -> None:
    data = {"store": "s", "hub": {"kind": "folder"}}
    with pytest.raises(SpecError, match=told) as caught:
        load_spec(write(tmp_path, "d", data | {"votes": votes}), Deployment)
    assert "geheim" not in str(caught.value)
    assert load_spec(write(tmp_path, "d", data | {"votes": "postgresql://ann@db/votes"}), Deployment).votes


def copy_configs(tmp_path: Path) -> Path:
    folder = tmp_path / "configs"
    for path in CONFIGS.glob("*/*.yaml"):
        target = folder / path.relative_to(CONFIGS)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(path.read_text())
    return folder


def test_a_recipe_of_an_unknown_base_is_named(tmp_path: Path) -> None:
    folder = copy_configs(tmp_path)
    write(folder / "recipes", "mini_lora", {**RECIPE, "base": "maxi"})
    with pytest.raises(
        SpecError, match=r"mini_lora\.yaml: base: 'maxi' is not known\. Allowed are flux_dev, flux_krea_dev, .*mini"
    ):
        load_catalog(folder)


def of_a_base(base: str, part: str) -> dict[str, str]:
    return {"kind": "base_model", "base": base, "part": part}


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (
            of_a_base("nosuch", "{}"),
            r"{}\.source\.base: 'nosuch' is not known\. Allowed are mini, .*mnist, mnist_full\.",
        ),
        (of_a_base("flux_krea_dev", "{}"), r"{}\.source\.base: 'flux_krea_dev' is not known\. Allowed are mini,"),
        (of_a_base("mnist", "{}"), r"{}\.source\.base: no {} is trained with 'mnist'\. Allowed are mini;"),
        (of_a_base("mini", "base"), r"{}\.source\.part: 'base' is no {}\. Allowed is {}\."),
    ],
)
@pytest.mark.parametrize(("file", "model"), [("projects/demo", "captioner"), ("evaluations/mini", "embedder")])
def test_a_model_of_a_base_trained_here_must_be_one_of_its_parts(
    tmp_path: Path, file: str, model: str, source: dict[str, str], problem: str
) -> None:
    folder = copy_configs(tmp_path)
    take_from(folder, file, model, {key: value.format(model) for key, value in source.items()})
    with pytest.raises(SpecError, match=rf"{file}\.yaml: " + problem.replace("{}", model)):
        load_catalog(folder)
    take_from(folder, file, model, of_a_base("mini", model))
    load_catalog(folder)


@pytest.mark.parametrize(("file", "model"), [("projects/krea", "captioner"), ("evaluations/film", "embedder")])
def test_a_model_of_a_base_must_be_trained_by_the_project_that_uses_it(tmp_path: Path, file: str, model: str) -> None:
    folder = copy_configs(tmp_path)
    take_from(folder, file, model, of_a_base("mini", model))
    with pytest.raises(
        SpecError,
        match=rf"krea\.yaml: bases: the {model} is a part of 'mini', which this project does not train "
        r"\(it trains none\)\. Add mini to `bases`",
    ):
        load_catalog(folder)
    for path in (folder / "projects").iterdir():
        project = yaml.safe_load(path.read_text())
        write(folder / "projects", path.stem, {**project, "bases": ["mini", *project.get("bases", [])]})
    load_catalog(folder)


def take_from(folder: Path, file: str, model: str, source: dict[str, str]) -> None:
    spec = yaml.safe_load((folder / f"{file}.yaml").read_text())
    write(folder, file, {**spec, model: {**spec[model], "source": source}})


def test_a_base_and_a_recipe_may_not_share_a_slug(tmp_path: Path) -> None:
    folder = copy_configs(tmp_path)
    write(folder / "recipes", "mini", RECIPE)
    with pytest.raises(SpecError, match="'mini' names both"):
        load_catalog(folder)


def test_an_unknown_project_lists_the_known_ones() -> None:
    with pytest.raises(SpecError, match="Choose one of demo, krea"):
        load_catalog(CONFIGS).project("demos")


def test_a_missing_folder_says_how_to_point_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="DIRECTOR_CONFIGS"):
        load_catalog(tmp_path / "none")


def test_every_shipped_model_of_the_hub_is_pinned() -> None:
    catalog = load_catalog(CONFIGS)
    sources = [base.source for base in catalog.bases.values()]
    sources += [project.captioner.source for project in catalog.projects.values()]
    sources += [plan.embedder.source for plan in catalog.evaluations.values()]
    pinned = [source.revision for source in sources if isinstance(source, HubSource)]
    assert len(pinned) >= 3
    assert all(pinned)


@pytest.mark.parametrize(("file", "model"), [("projects/demo", "captioner"), ("evaluations/mini", "embedder")])
def test_only_bases_come_in_one_file(tmp_path: Path, file: str, model: str) -> None:
    folder = copy_configs(tmp_path)
    data = yaml.safe_load((folder / f"{file}.yaml").read_text())
    source = {"kind": "single_file", "file": "x.safetensors", "rest": {"kind": "folder", "folder": "models/mini/base"}}
    write(folder / file.split("/")[0], file.split("/")[1], {**data, model: {**data[model], "source": source}})
    with pytest.raises(SpecError, match=rf"{file}\.yaml: key {model}\.source .*'single_file' found using 'kind'"):
        load_catalog(folder)


def test_what_a_base_is_sampled_with_may_be_trained_here_but_by_the_project(tmp_path: Path) -> None:
    folder = copy_configs(tmp_path)
    mini = yaml.safe_load((folder / "bases/mini.yaml").read_text())

    def load(part: str, base: str) -> Catalog:
        source = {"kind": "base_model", "base": base, "part": part}
        other = {"name": "other", "model_id": "other", "source": source, "guidance": mini["guidance"]}
        write(folder / "bases", "mini", {**mini, "sampled_with": other})
        return load_catalog(folder)

    drawn_with = load("base", "mini").bases["mini"].drawn_with
    assert (drawn_with.name, drawn_with.slug, drawn_with.source.kind) == ("other", "mini", "base_model")
    with pytest.raises(SpecError, match=r"mini\.yaml: sampled_with\.source\.part: 'captioner' is no base"):
        load("captioner", "mini")
    with pytest.raises(SpecError, match=r"mini\.yaml: sampled_with\.source\.base: 'flux_krea_dev' is not known"):
        load("base", "flux_krea_dev")
    with pytest.raises(
        SpecError, match=r"demo\.yaml: bases: the checkpoint that mini is sampled with is a part of 'mni"
    ):
        load("base", "mnist_full")


def starting(folder: Path, slug: str, **changes: object) -> None:
    """A recipe like mini_lora under another name."""
    recipe = yaml.safe_load((CONFIGS / "recipes" / "mini_lora.yaml").read_text())
    write(folder / "recipes", slug, {**recipe, **changes})


def test_a_recipe_may_start_from_anothers_adapter(tmp_path: Path) -> None:
    folder = copy_configs(tmp_path)
    starting(folder, "mini_more", init_from="mini_lora", steps=300, optimizer={"kind": "adamw", "lr": 1e-4})
    demo = yaml.safe_load((folder / "projects" / "demo.yaml").read_text())
    write(folder / "projects", "demo", {**demo, "recipes": ["mini_lora", "mini_more"]})
    assert load_catalog(folder).recipes["mini_more"].init_from == "mini_lora"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"init_from": "nosuch"}, r"mini_more\.yaml: init_from: 'nosuch' is not known\. Allowed are .*mini_lora"),
        (
            {"init_from": "mini_lora", "adapter": {"kind": "lora", "rank": 4, "alpha": 8}},
            r"mini_more\.yaml: init_from: mini_lora has another `adapter`",
        ),
        ({"init_from": "krea_lora"}, r"mini_more\.yaml: init_from: krea_lora has another `base`"),
        ({"init_from": "mini_more"}, r"mini_more\.yaml: init_from: mini_more starts from mini_more\. Break the circle"),
    ],
)
def test_a_start_that_cannot_be_is_refused(tmp_path: Path, changes: dict[str, object], problem: str) -> None:
    folder = copy_configs(tmp_path)
    starting(folder, "mini_more", **changes)
    with pytest.raises(SpecError, match=problem):
        load_catalog(folder)


def test_an_adapter_of_all_may_be_trained_otherwise_and_no_other_training_knows_of_it(tmp_path: Path) -> None:
    folder = copy_configs(tmp_path)
    larger = {"kind": "lora", "rank": 64, "alpha": 64}
    starting(folder, "mini_more", joint={"steps": 900, "adapter": larger})
    starting(folder, "mini_none", joint=None)
    recipes = load_catalog(folder).recipes
    asking, plain = recipes["mini_more"], recipes["mini_none"]
    of_all = asking.of_all()
    assert (of_all.steps, of_all.adapter.model_dump(), of_all.joint) == (
        900,
        {**plain.adapter.model_dump(), **larger},
        None,
    )
    assert of_all.optimizer == asking.optimizer
    assert {**asking.model_dump(), "slug": ""} == {**plain.model_dump(), "slug": ""}
    assert plain.of_all() == plain


@pytest.mark.parametrize(
    ("joint", "other", "problem"),
    [
        ({}, None, r"mini_more\.yaml: joint: mini_lora, which this recipe starts from, makes no adapter of all"),
        (
            {"adapter": {"kind": "lora", "rank": 64, "alpha": 64}},
            {},
            r"mini_more\.yaml: joint\.adapter: mini_lora has another",
        ),
        ({"steps": 5}, {}, r"mini_more\.yaml: warmup_steps 10 must be below joint\.steps 5"),
    ],
)
def test_an_adapter_of_all_that_cannot_be_is_refused(
    tmp_path: Path, joint: dict[str, object], other: dict[str, object] | None, problem: str
) -> None:
    folder = copy_configs(tmp_path)
    starting(folder, "mini_lora", joint=other)
    starting(folder, "mini_more", init_from="mini_lora", joint=joint)
    with pytest.raises(SpecError, match=problem):
        load_catalog(folder)


def test_one_adapter_needs_triggers_that_differ(tmp_path: Path) -> None:
    folder = copy_configs(tmp_path)
    nolan = yaml.safe_load((folder / "directors" / "nolan.yaml").read_text())
    write(folder / "directors", "nolan", {**nolan, "trigger": "Fincher style"})
    with pytest.raises(SpecError, match="fincher and nolan have the same trigger, and mini_lora asks for one adapter"):
        load_catalog(folder)
    starting(folder, "mini_lora", joint=None)
    assert load_catalog(folder).directors["nolan"].trigger == "Fincher style"


def test_a_circle_of_starts_and_a_start_that_is_not_made_are_refused(tmp_path: Path) -> None:
    folder = copy_configs(tmp_path)
    for one, other in (("mini_a", "mini_b"), ("mini_b", "mini_c"), ("mini_c", "mini_a")):
        starting(folder, one, init_from=other)
    with pytest.raises(SpecError, match=r"mini_a starts from mini_b starts from mini_c starts from mini_a"):
        load_catalog(folder)
    starting(folder, "mini_c")
    demo = yaml.safe_load((folder / "projects" / "demo.yaml").read_text())
    write(folder / "projects", "demo", {**demo, "recipes": ["mini_b"]})
    with pytest.raises(SpecError, match=r"demo\.yaml: recipes: mini_b starts from mini_c, which this project does not"):
        load_catalog(folder)


@pytest.mark.parametrize(
    ("recipe", "changes", "problem"),
    [
        ("mini_lora", {"objective": {"min_snr_gamma": 5}}, "objective: mini is a flow .* takes no min_snr_gamma"),
        (
            "sdxl_lora_1024",
            {"adapter": {"kind": "lora", "rank": 4, "alpha": 4, "targets": "late_single_blocks"}},
            "adapter.targets: sdxl is a UNet .* no single blocks",
        ),
        (
            "sdxl_lora_1024",
            {
                "turbo": {
                    "adapter": {"kind": "lora", "rank": 4, "alpha": 4},
                    "optimizer": {"kind": "adamw", "lr": 1e-4},
                    "steps": 10,
                    "checkpoint_every": 5,
                }
            },
            "turbo: sdxl is no flow .* no segments to learn. Give `turbo` the kind consistency",
        ),
        (
            "mini_lora",
            {
                "turbo": {
                    "kind": "consistency",
                    "adapter": {"kind": "lora", "rank": 4, "alpha": 4},
                    "optimizer": {"kind": "adamw", "lr": 1e-4},
                    "steps": 10,
                    "checkpoint_every": 5,
                }
            },
            "turbo: mini is a flow .* no timesteps to be consistent at. Give `turbo` the kind segments",
        ),
    ],
)
def test_a_recipe_asks_only_what_its_base_can_give(
    tmp_path: Path, recipe: str, changes: dict[str, object], problem: str
) -> None:
    folder = copy_configs(tmp_path)
    usual = yaml.safe_load((folder / "recipes" / f"{recipe}.yaml").read_text())
    write(folder / "recipes", recipe, {**usual, **changes})
    with pytest.raises(SpecError, match=problem):
        load_catalog(folder)
