"""A base trained from scratch: made once, part by part, whatever happens in between, and used like any other."""

import json
from collections.abc import Mapping
from pathlib import Path

import dagster as dg
import pytest

from director_diffusion.hashing import hash_file
from director_diffusion.pretraining.manifest import differing_files
from director_diffusion.storage import Artifact
from director_diffusion.storage.artifact import latest_artifact
from director_diffusion.storage.lock import writer_lock
from pipelines.build import build_definitions
from pipelines.surroundings import read_surroundings
from tests.small_configs import change, read, surroundings_of
from tests.tiny_project import TinyProject

pytestmark = pytest.mark.xdist_group("children")

BASE_MODEL = dg.AssetKey(["mini", "base_model"])
MNIST = dg.AssetKey(["mnist", "base_model"])
PARTS = ("vae", "denoiser", "embedder")
STEPS = 6


@pytest.fixture(scope="module")
def built(made: TinyProject, tmp_path_factory: pytest.TempPathFactory) -> TinyProject:
    """What nolan has, and some parts of mini trained for a few steps; read it, or copy it."""
    project = made.copy(tmp_path_factory.mktemp("base_model") / "project")
    keep_parts(project, PARTS)
    outcome = project.director("build-base", "mini")
    assert outcome.code == 0, outcome.err
    return project


@pytest.fixture
def project(built: TinyProject, tmp_path: Path) -> TinyProject:
    return built.copy(tmp_path / "project")


def keep_parts(project: TinyProject, parts: tuple[str, ...]) -> None:
    spec = read(project.configs, "bases/mini")["trained_here"]
    change(project.configs, "bases/mini", trained_here={"data": spec["data"], **{part: spec[part] for part in parts}})


def base_model(project: TinyProject) -> Artifact:
    return latest_artifact(project.store, ("mini", "base_model"), None)


def weights(project: TinyProject) -> Mapping[str, str]:
    """Hashes of all files but the card, which tells how long it took, and the manifest, which has the card's hash."""
    files = base_model(project).manifest.files
    return {file.name: file.sha256 for file in files if "/" in file.name}


def finished(project: TinyProject) -> dict[str, int]:
    """When each finished part was recorded, by its name and key."""
    return {
        name.removeprefix("parts/").removesuffix("/part.json"): time
        for name, time in project.items().items()
        if name.startswith("parts/") and name.endswith("/part.json")
    }


def definitions_of(project: TinyProject) -> dg.Definitions:
    return build_definitions(read_surroundings(surroundings_of(project.folder)))


def test_the_set_is_whole_and_tells_how_it_was_made(built: TinyProject) -> None:
    from huggingface_hub import ModelCard

    folder = base_model(built).local_folder
    assert {path.name for path in folder.iterdir()} >= {"base", "embedder", "README.md", "manifest.json"}
    assert differing_files(folder, "base") == differing_files(folder, "embedder") == []
    manifest = json.loads((folder / "manifest.json").read_text())
    assert [f"{part}-{key}" for part, key in manifest["parts"].items()] == sorted(finished(built), key=by_order)
    assert hash_file(folder / "README.md") == manifest["files"]["README.md"]["sha256"]
    card = ModelCard.load(folder / "README.md")
    assert (card.data.license, card.data.library_name, card.data.pipeline_tag) == (
        "apache-2.0",
        "diffusers",
        "text-to-image",
    )
    assert "64 scenes" in card.text
    assert f"| vae | AutoencoderKL | {STEPS} |" in card.text


def by_order(name: str) -> int:
    return PARTS.index(name.split("-")[0])


def test_grids_are_seen_in_the_ui_during_training_and_after_it(built: TinyProject) -> None:
    with built.instance() as instance:
        observed = instance.fetch_observations(BASE_MODEL, limit=1000).records
        shown = {
            (label, record.asset_observation.metadata["step"].value)
            for record in observed
            for label, value in record.asset_observation.metadata.items()
            if isinstance(value, dg.MarkdownMetadataValue) and "data:image/jpeg" in str(value.value)
        }
        assert {("vae", 3), ("vae", 6), ("denoiser", 3), ("denoiser", 6)} <= shown
        assert all(record.partition_key is None for record in observed)
        (event,) = instance.fetch_materializations(BASE_MODEL, limit=10).records
        assert event.partition_key is None
        metadata = event.asset_materialization.metadata
        assert isinstance(metadata["denoiser, step 6"], dg.MarkdownMetadataValue)
        assert metadata["vae: steps"].value == STEPS
        assert metadata["vae: parameters"].value > 100_000


def test_a_second_run_trains_nothing(project: TinyProject) -> None:
    before, items = base_model(project).manifest, project.items()
    outcome = project.director("build-base", "mini")
    assert outcome.code == 0, outcome.err
    assert "(reused)" in outcome.out
    assert base_model(project).manifest == before
    assert project.items() == items


def test_an_edited_part_is_trained_alone(project: TinyProject) -> None:
    before, parts, version = weights(project), finished(project), base_model(project).version
    spec = read(project.configs, "bases/mini")["trained_here"]
    change(project.configs, "bases/mini", trained_here={**spec, "embedder": {**spec["embedder"], "lr": 1e-4}})
    outcome = project.director("build-base", "mini")
    assert outcome.code == 0, outcome.err
    new = {name: time for name, time in finished(project).items() if name not in parts}
    assert [name.split("-")[0] for name in new] == ["embedder"]
    assert {name: time for name, time in finished(project).items() if name in parts} == parts
    changed = {name for name, sha in weights(project).items() if before.get(name) != sha}
    assert changed == {"embedder/open_clip_model.safetensors"}

    change(project.configs, "bases/mini", trained_here=spec)  # and back: what was there is found again
    assert "(reused)" in project.director("build-base", "mini").out
    assert base_model(project).version == version


def test_a_part_can_be_trained_by_itself_for_a_later_run_to_find(project: TinyProject) -> None:
    spec, parts = read(project.configs, "bases/mini")["trained_here"], finished(project)
    change(project.configs, "bases/mini", trained_here={**spec, "embedder": {**spec["embedder"], "lr": 2e-4}})
    before = base_model(project).manifest
    with writer_lock(project.store, "mini's embedder", "run 1234"):
        busy = project.director("build-base", "mini", "--part", "embedder")
    assert busy.code == 1
    assert "mini's embedder: is being written by run 1234" in busy.err
    outcome = project.director("build-base", "mini", "--part", "embedder")
    assert outcome.code == 0, outcome.err
    (new,) = set(finished(project)) - set(parts)
    assert outcome.out.strip().endswith(new)
    assert base_model(project).manifest == before, "no asset was made"
    parts = finished(project)
    assert project.director("build-base", "mini").code == 0
    assert finished(project) == parts
    assert base_model(project).manifest != before


def test_killed_again_and_again_it_ends_in_the_same_bytes(built: TinyProject, tmp_path: Path) -> None:
    project = TinyProject.make(tmp_path / "project", directors=("nolan",))
    keep_parts(project, PARTS)
    root = project.folder / "store"
    moments = ("vae/*/snapshots/step-0000002*", "denoiser/*/snapshots/step-0000004*", "embedder/*/grids/*3.png")
    for count, moment in enumerate(moments):
        child = project.begin("build-base", "mini")
        child.wait_until(lambda moment=moment: any(root.glob(f"work/parts/mini/{moment}")), timeout_s=300)
        child.kill()
        assert len(finished(project)) == count, "killed in the middle of a part"
        assert not project.store.exists("assets/mini/base_model/_all/latest.json")
    last = project.begin("build-base", "mini").end()
    assert last.code == 0, last.err
    assert "had been killed; it is now marked failed" in last.err
    assert weights(project) == weights(built)
    assert not list((root / "work").rglob("step-*")), "snapshots go when the part is there"


def test_exports_replace_a_set_whole_and_nothing_else(project: TinyProject, tmp_path: Path) -> None:
    target = tmp_path / "shipped" / "mini"
    target.mkdir(parents=True)
    (target / "thesis.txt").write_text("ten years of work")
    refused = project.director("build-base", "mini", "--export", str(target))
    assert refused.code == 1
    assert "holds something other than a trained set" in refused.err
    assert [path.name for path in target.iterdir()] == ["thesis.txt"]

    (target / "thesis.txt").rename(tmp_path / "thesis.txt")
    for way in ("into nothing", "in place of the set that is there"):
        outcome = project.director("build-base", "mini", "--export", str(target))
        assert outcome.code == 0, (way, outcome.err)
    there = {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()}
    assert there == {file.name for file in base_model(project).manifest.files}
    assert differing_files(target, "base") == []
    assert [path.name for path in target.parent.iterdir()] == ["mini"]

    (tmp_path / "thesis.txt").rename(target / "base" / "thesis.txt")
    refused = project.director("build-base", "mini", "--export", str(target))
    assert "holds 'base/thesis.txt', which is no file of the trained set" in refused.err
    (target / "base" / "thesis.txt").unlink()
    manifest = json.loads((target / "manifest.json").read_text())
    (target / "manifest.json").write_text(json.dumps(manifest | {"base": "another"}))
    refused = project.director("build-base", "mini", "--export", str(target))
    assert "holds the set of another, not of mini" in refused.err
    assert (target / "base" / "model_index.json").exists()


def test_words_that_name_nothing_are_refused(built: TinyProject) -> None:
    for arguments, problem in (
        (("flux_krea_dev",), "is no base that project demo trains"),
        (("mini", "--part", "captioner"), "is no part of mini. Choose of vae, denoiser, embedder"),
        (("mini", "--part", "vae", "--export", "x"), "trains a part, not a set"),
    ):
        outcome = built.director("build-base", *arguments)
        assert outcome.code == 1
        assert problem in outcome.err


def test_a_shipped_base_is_trained_by_its_own_job_alone(built: TinyProject) -> None:
    definitions = definitions_of(built)
    assert definitions.resolve_job_def("build_base").asset_layer.selected_asset_keys == {BASE_MODEL, MNIST}
    assert BASE_MODEL not in definitions.resolve_job_def("make_mini_lora").asset_layer.selected_asset_keys


def test_adapters_of_a_base_trained_here_wait_for_it_and_follow_it(project: TinyProject) -> None:
    change(project.configs, "bases/mini", source={"kind": "base_model", "base": "mini"})
    definitions = definitions_of(project)
    graph = definitions.resolve_asset_graph()
    for name in ("mini/latents", "mini/prompt_embeddings", "mini_lora/adapter", "mini_lora/samples"):
        assert BASE_MODEL in graph.get(dg.AssetKey(name.split("/"))).parent_keys, name
    assert BASE_MODEL in definitions.resolve_job_def("make_mini_lora").asset_layer.selected_asset_keys

    outcome = project.run("nolan", "--until", "latents")
    assert outcome.code == 0, outcome.err
    artifacts, made_once = project.artifacts("nolan"), base_model(project).manifest
    spec = read(project.configs, "bases/mini")["trained_here"]
    change(project.configs, "bases/mini", trained_here={**spec, "embedder": {**spec["embedder"], "lr": 3e-4}})
    assert project.run("nolan", "--until", "latents").code == 0
    assert base_model(project).manifest != made_once
    assert project.artifacts("nolan") == artifacts, "another embedder, the same base: the same latents"
