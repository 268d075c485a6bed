"""SDXL and SD 1.5: the whole graph on tiny checkpoints of their real classes, which the graph itself trains."""

import json

import pytest
from safetensors import safe_open

from director_diffusion.evaluation.few_steps_types import BESIDE, FEW_STEPS_FILE, few_steps_from
from director_diffusion.publishing.publish import Publication
from director_diffusion.sampling.rows import Sample
from director_diffusion.specs import LoraAdapter
from director_diffusion.training.rows import WEIGHTS
from tests.adapters.adapted import random_adapter
from tests.small_configs import change, read
from tests.tiny_project import TinyProject

RECIPES = ("mini_sdxl_lora", "mini_sd15_lora", "mini_lokr")
TURBO = {
    "kind": "consistency",
    "step_counts": [4],
    "adapter": {"kind": "lora", "rank": 2, "alpha": 2},
    "optimizer": {"kind": "adamw", "lr": 1.0e-4},
    "steps": 2,
    "batch_size": 2,
    "checkpoint_every": 2,
}


@pytest.fixture(scope="module")
def built(made: TinyProject, tmp_path_factory: pytest.TempPathFactory) -> TinyProject:
    """Two UNets trained for some steps, and a director by each; and a LoKr on mini."""
    project = made.copy(tmp_path_factory.mktemp("unets") / "project")
    few = {"steps": 4, "batch_size": 2, "checkpoint_every": 4, "preview_every": 4, "preview_steps": 2}
    for base in ("mini_sdxl", "mini_sd15"):
        spec = read(project.configs, f"bases/{base}")["trained_here"]
        small = {**spec, "data": {"kind": "drawn_scenes", "pictures": 32, "held_out": 24}}
        change(
            project.configs,
            f"bases/{base}",
            trained_here={**small, "denoiser": {**spec["denoiser"], **few}},
            min_reconstruction_psnr=0,
        )
    for recipe in RECIPES:
        change(
            project.configs,
            f"recipes/{recipe}",
            steps=4,
            checkpoint_every=4,
            batch_size=2,
            schedule={"warmup_steps": 1},
        )
    previews = read(project.configs, "evaluations/mini")["previews"]
    change(project.configs, "evaluations/mini", previews={**previews, "prompts": previews["prompts"][:1]})
    change(project.configs, "projects/demo", recipes=list(RECIPES), bases=[])
    for base in ("mini_sdxl", "mini_sd15"):
        outcome = project.director("build-base", base)
        assert outcome.code == 0, outcome.err
    stock = project.folder / "stock" / "lcm.safetensors"
    stock.parent.mkdir()
    unet = project.latest("mini_sd15/base_model", None).local_folder / "base"
    random_adapter(stock, LoraAdapter(kind="lora", rank=2, alpha=2), 0, family_name="sd15", base=unet)
    baseline = {"source": {"kind": "folder", "folder": str(stock.parent)}, "weights": stock.name}
    change(project.configs, "recipes/mini_sd15_lora", turbo={**TURBO, "baseline": baseline})
    outcome = project.run("nolan")
    assert outcome.code == 0, outcome.err
    return project


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_whole_graph_runs(built: TinyProject, recipe: str) -> None:
    weights = built.latest(f"{recipe}/adapter", "nolan").path(WEIGHTS)
    with safe_open(weights, framework="pt") as file:
        roles = {name.split(".")[0] for name in file.keys()}  # noqa: SIM118 — no mapping
        header = file.metadata()
    assert roles == {"transformer" if recipe == "mini_lokr" else "unet"}
    assert (header["recipe"], header["director"], header["trigger"]) == (recipe, "nolan", "nolan style")
    publication = Publication.read(built.latest(f"{recipe}/published_model", "nolan").local_folder)
    assert publication.status in ("published", "withheld")
    card = built.latest(f"{recipe}/model_card", "nolan").local_folder / "repo"
    assert (card / WEIGHTS).exists()
    assert (card / "lokr.safetensors").exists() == (recipe == "mini_lokr")


def test_a_consistent_student_is_taught_drawn_and_judged(built: TinyProject) -> None:
    taught = built.latest("mini_sd15_lora/turbo_adapter", "nolan")
    assert {"mini_sd15/latents", "mini_sd15/prompt_embeddings"} <= taught.manifest.inputs.keys()
    assert {check.name: check.passed for check in taught.manifest.checks}["students_reload"]
    drawn = built.latest("mini_sd15_lora/turbo_samples", "nolan").table("samples.parquet", Sample)
    released = built.latest("mini_sd15_lora/release_samples", "nolan").table("samples.parquet", Sample)
    assert [row for row in drawn if row.arm in BESIDE] == released, "the very same pictures"
    assert {row.arm for row in drawn} == {*BESIDE, "turbo_4", "stock_4"}
    assert len({row.sha256 for row in drawn}) == len(drawn)
    evaluation = built.latest("mini_sd15_lora/turbo_evaluation", "nolan")
    judged = few_steps_from(json.loads(evaluation.path(FEW_STEPS_FILE).read_text()))
    assert [(one.of, one.count) for one in judged] == [("student", 4), ("stock", 4)]
    told = {entry.label for entry in evaluation.manifest.metadata}
    assert {"4 steps: verdict", "stock weights, 4 steps: verdict"} <= told
    card = built.latest("mini_sd15_lora/model_card", "nolan").local_folder / "repo"
    told_on_card = few_steps_from(json.loads((card / FEW_STEPS_FILE).read_text()))
    assert [one.of for one in told_on_card] == ["student", "stock"]
    assert "| stock weights, 4 steps |" in (card / "README.md").read_text()


def test_sdxl_is_told_the_true_sizes(built: TinyProject) -> None:
    from director_diffusion.latents.rows import FILE, LatentRow
    from director_diffusion.stills.rows import STILLS_FILE, Still

    stills = {row.still: row for row in built.latest("stills", "nolan").table(STILLS_FILE, Still)}
    rows = built.latest("mini_sdxl/latents", "nolan").table(FILE, LatentRow)
    assert rows
    for row in rows:
        assert (row.original_width, row.original_height) == (stills[row.still].width, stills[row.still].height)
        # Scaled, the crop and what is cut away on both sides make up the still again.
        assert abs(row.width + 2 * row.crop_left - row.scale * row.original_width) <= 2
        assert abs(row.height + 2 * row.crop_top - row.scale * row.original_height) <= 2


def test_exports_for_other_tools(built: TinyProject) -> None:
    out = built.folder / "exports"
    out.mkdir()
    for recipe, layout in (("mini_sdxl_lora", "comfyui"), ("mini_sd15_lora", "kohya"), ("mini_lokr", "lora")):
        target = out / f"{recipe}-{layout}.safetensors"
        outcome = built.director("export", "nolan", "--recipe", recipe, "--layout", layout, "--out", str(target))
        assert outcome.code == 0, outcome.err
        with safe_open(target, framework="pt") as file:
            assert file.metadata()["trigger"] == "nolan style"
            assert any("lora_" in name for name in file.keys())  # noqa: SIM118 — no mapping
    words = ("--recipe", "mini_sdxl_lora", "--layout", "kohya", "--out", str(out / "other.safetensors"))
    outcome = built.director("export", "nolan", *words)
    assert outcome.code == 1
    assert "is not of SDXL's own UNet" in outcome.err
    outcome = built.director("export", "nolan", "--recipe", "mini_lokr", "--out", str(out / "adapter.bin"))
    assert outcome.code == 1
    assert "Let it end in .safetensors" in outcome.err
