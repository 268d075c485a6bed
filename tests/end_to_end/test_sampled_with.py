"""A base that is trained on one checkpoint and sampled on another: what either of them changes."""

import json
from collections import Counter
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from director_diffusion.families import get_family
from director_diffusion.latents.buckets import nearest
from director_diffusion.sampling.prompts import CANARY_PICTURES
from director_diffusion.sampling.rows import Sample
from director_diffusion.specs import Base, EvaluationPlan
from pipelines.build import build_definitions
from pipelines.surroundings import read_surroundings
from tests.small_configs import MODELS, change, read, surroundings_of
from tests.tiny_project import STAGES, TinyProject

WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"
GUIDANCE = {"kind": "classifier_free", "sample": 1.5}  # the base's own is 4


def perturb(target: Path, seed: int) -> None:
    """The shipped base at `target`, its denoiser a little off."""
    target.mkdir(exist_ok=True)
    for path in (MODELS / "mini/base").iterdir():
        if path.name != "transformer" and not (target / path.name).exists():
            (target / path.name).symlink_to(path)
    (target / "transformer").mkdir(exist_ok=True)
    (target / "transformer/config.json").write_bytes((MODELS / "mini/base/transformer/config.json").read_bytes())
    rng = torch.Generator().manual_seed(seed)
    weights = load_file(MODELS / "mini/base" / WEIGHTS)
    weights["proj_out.bias"] += 0.1 * torch.randn(weights["proj_out.bias"].shape, generator=rng).half()
    save_file(weights, target / WEIGHTS, metadata={"format": "pt"})


@pytest.fixture(scope="module")
def project(made: TinyProject, tmp_path_factory: pytest.TempPathFactory) -> TinyProject:
    """A project that was trained on the shipped base and draws with another since."""
    project = made.copy(tmp_path_factory.mktemp("sampled_with") / "project")
    perturb(project.folder / "student", seed=0)
    student = {"name": "mini student", "model_id": "director-diffusion/student", "guidance": GUIDANCE}
    source = {"kind": "folder", "folder": "student"}
    change(project.configs, "bases/mini", sampled_with={**student, "source": source})
    outcome = project.run("nolan")
    assert outcome.code == 0, outcome.err
    return project


def keys(before: TinyProject, after: TinyProject) -> list[str]:
    """Stages whose key is another, in lineage order."""
    one, other = before.artifacts("nolan"), after.artifacts("nolan")
    return [stage for stage in STAGES if one[stage][0] != other[stage][0]]


def test_what_was_trained_stays(made: TinyProject, project: TinyProject) -> None:
    changed, judged = keys(made, project), ["samples", "evaluation", "votes", "release_samples", "release_evaluation"]
    assert changed[:6] == [f"mini_lora/{name}" for name in (*judged, "model_card")]
    assert set(changed) <= {*changed[:6], "mini_lora/published_model"}
    new = Counter(name.split("/")[0] for name in set(project.items()) - set(made.items()))
    drawn = len(project.latest("mini_lora/release_samples", "nolan").table("samples.parquet", Sample))
    # Three encoders see every arm; of the canary's pictures the first are kept beside, and noted.
    assert new == {"images": drawn + 2 * CANARY_PICTURES, "embeddings": 3 * drawn, "canary": 2}


def rows(project: TinyProject) -> list[Sample]:
    return list(project.latest("mini_lora/samples", "nolan").table("samples.parquet", Sample))


def pictures(project: TinyProject, arm: str) -> list[np.ndarray]:
    paths = (project.folder / "store" / row.reference for row in rows(project) if row.arm == arm)
    return [np.asarray(Image.open(path)) for path in paths]


def drawn_directly(
    project: TinyProject, folder: Path, arm: str, guidance: float, adapter: Path | None
) -> list[np.ndarray]:
    """An arm's pictures, by the painter of the base in `folder`."""
    base = Base.model_validate({**read(project.configs, "bases/mini"), "slug": "mini"})
    plan = EvaluationPlan.model_validate({**read(project.configs, "evaluations/mini"), "slug": "mini"})
    bucket, asked = nearest(base.resolution, plan.sampling.aspect), [row for row in rows(project) if row.arm == arm]
    assert len(asked) <= plan.sampling.batch_size
    painter = get_family("flux").load_painter(
        folder, device="cpu", dtype=torch.float32, guidance_kind="classifier_free", max_tokens=base.max_prompt_tokens
    )
    if adapter is not None:
        painter.attach(adapter)
    images = painter.draw(
        [row.full_prompt for row in asked],
        [row.seed for row in asked],
        width=bucket.width,
        height=bucket.height,
        steps=plan.sampling.steps,
        guidance=guidance,
    )
    return [np.asarray(image) for image in images]


def test_pictures_come_from_the_other_checkpoint_with_its_guidance(project: TinyProject) -> None:
    adapter = project.latest("mini_lora/adapter", "nolan").local_folder / "pytorch_lora_weights.safetensors"
    for arm, weights in (("base", None), ("adapter", adapter)):
        drawn = pictures(project, arm)
        student = drawn_directly(project, project.folder / "student", arm, 1.5, weights)
        trained_on = drawn_directly(project, MODELS / "mini/base", arm, 1.5, weights)
        assert all(np.array_equal(one, other) for one, other in zip(drawn, student, strict=True))
        assert not any(np.array_equal(one, other) for one, other in zip(drawn, trained_on, strict=True))


def test_the_card_tells_of_both(project: TinyProject) -> None:
    repo = project.latest("mini_lora/model_card", "nolan").local_folder / "repo"
    card, provenance = (repo / "README.md").read_text(), json.loads((repo / "provenance.json").read_text())
    assert "base_model: director-diffusion/mini\n" in card
    assert "trained on mini (drawn scenes) and is used on mini student" in card
    assert 'from_pretrained("director-diffusion/student"' in card
    assert "true_cfg_scale=1.5" in card
    assert provenance["base"]["model"] == "director-diffusion/mini"
    assert provenance["drawn_with"]["model"] == "director-diffusion/student"
    assert provenance["base"]["content"] != provenance["drawn_with"]["content"]


def test_another_student_is_drawn_with_anew_and_trains_nothing(project: TinyProject, tmp_path: Path) -> None:
    other = project.copy(tmp_path / "project")
    perturb(other.folder / "student", seed=1)
    outcome = other.run("nolan", "--until", "samples")
    assert outcome.code == 0, outcome.err
    assert keys(project, other) == ["mini_lora/samples"]
    drawn = (pictures(one, "adapter") for one in (project, other))
    assert not any(np.array_equal(*pair) for pair in zip(*drawn, strict=True))


def test_other_guidance_makes_samples_stale_and_no_training(project: TinyProject, tmp_path: Path) -> None:
    project = project.copy(tmp_path / "project")

    def code_versions() -> dict[str, str | None]:
        definitions = build_definitions(read_surroundings(surroundings_of(project.folder)))
        graph = definitions.resolve_asset_graph()
        return {stage: graph.get(dg.AssetKey(stage.split("/"))).code_version for stage in STAGES}

    before = code_versions()
    sampled_with = read(project.configs, "bases/mini")["sampled_with"]
    change(project.configs, "bases/mini", sampled_with={**sampled_with, "guidance": {**GUIDANCE, "sample": 2.0}})
    after = code_versions()
    changed = [stage for stage in STAGES if before[stage] != after[stage]]
    assert changed == [f"mini_lora/{name}" for name in ("samples", "release_samples", "model_card")]
