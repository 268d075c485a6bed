"""Evaluation plans: what ships is enough to judge by, and what cannot be judged is refused with file and key."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from director_diffusion.catalog import load_catalog
from director_diffusion.errors import SpecError
from director_diffusion.specs import EvaluationPlan, FolderSource

CONFIGS = Path(__file__).parents[2] / "configs"
MINI = yaml.safe_load((CONFIGS / "evaluations" / "mini.yaml").read_text())
ASIDE = FolderSource(kind="folder", folder="captioner")


def load(tmp_path: Path, changes: Mapping[str, object]) -> EvaluationPlan:
    """The shipped catalog's plan `mini` with some keys set."""
    folder = tmp_path / "configs"
    shutil.copytree(CONFIGS, folder, dirs_exist_ok=True)
    (folder / "evaluations" / "mini.yaml").write_text(yaml.safe_dump({**MINI, **changes}))
    return load_catalog(folder).evaluations["mini"]


def test_shipped_plans_have_48_prompts_and_further_seeds_for_the_release() -> None:
    plans = load_catalog(CONFIGS).evaluations
    assert {"film", "mini"} <= plans.keys()
    for plan in plans.values():
        assert len(plan.prompts) >= 48
        assert plan.seeds_of("draft") == plan.seeds
        assert set(plan.seeds_of("release")) > set(plan.seeds)
        assert 0.9 ** len(plan.prompts) < 0.025, "so that none of them too near a training still passes"
    novel = [prompt for prompt in plans["film"].prompts if prompt.novel]
    assert 4 <= len(novel) <= 12, "a tail that is told apart"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"prompts": MINI["prompts"][:3]}, "prompts"),
        ({"prompts": [*MINI["prompts"], MINI["prompts"][0]]}, "two prompts are the same"),
        ({"release_seeds": [12, 11]}, "two of seeds and release_seeds are the same"),
        ({"style_by": "style_projection"}, "there is no style_projection"),
        ({"style_by": "aesthetic"}, "style_by"),
        ({"margins": {"memorised": 0}}, r"margins\.memorised"),
        ({"margins": {"style": 1.5}}, r"margins\.style"),
        ({"prompts": MINI["prompts"][:10]}, r"10 prompts, not one .*margins\.memorised.* ask 36 or more"),
        (
            {"confidence": 0.99, "resamples": 500, "margins": {"memorised": 0.2}},
            r"resamples: of 500, .*give 2000 or more",
        ),
        ({"margins": {"taste": 0.1}}, r"margins\.taste is not known"),
        ({"margins": {"few_steps_in": {3: 0.1}}}, r"margins\.few_steps_in"),
        ({"margins": {"few_steps_in": {4: 1.5}}}, r"margins\.few_steps_in\.4"),
    ],
)
def test_a_plan_that_cannot_be_judged_by_is_refused(tmp_path: Path, changes: Mapping[str, object], words: str) -> None:
    with pytest.raises(SpecError, match=rf"mini\.yaml.*{words}"):
        load(tmp_path, changes)


def test_an_image_encoder_of_a_base_trained_here_is_its_style_encoder(tmp_path: Path) -> None:
    def encoder(base: str, part: str) -> dict[str, object]:
        return {"encoder": {"model": "mini", "source": {"kind": "base_model", "base": base, "part": part}}}

    with pytest.raises(SpecError, match=r"encoder\.source\.part: 'embedder' is no style_encoder"):
        load(tmp_path, encoder("mini", "embedder"))
    with pytest.raises(SpecError, match=r"encoder\.source\.base: no style_encoder is trained with 'mnist'"):
        load(tmp_path, encoder("mnist", "style_encoder"))
    assert load(tmp_path, encoder("mini", "style_encoder")).encoder.model == "mini"


def test_a_plan_names_all_that_looks_at_pictures(tmp_path: Path) -> None:
    plan = load(tmp_path, {})
    assert set(plan.sources(ASIDE)) == {"embedder", "encoder"}
    of_folder = {"source": {"kind": "folder", "folder": "f"}}
    head = {**of_folder, "embedder": MINI["embedder"], "file": "head.pth"}
    more = load(tmp_path, {"style_projection": of_folder, "aesthetic": head, "questions": True})
    extra = {"style projection", "aesthetic embedder", "aesthetic head", "captioner"}
    assert set(more.sources(ASIDE)) == {"embedder", "encoder", *extra}
    assert more.sources(ASIDE)["captioner"] == ASIDE


def test_previews_judge_nothing(tmp_path: Path) -> None:
    other = load(tmp_path, {"previews": {"prompts": ["a tower"]}})
    assert other.judging() == load(tmp_path, {}).judging()
    assert load(tmp_path, {"confidence": 0.9}).judging() != other.judging()


def test_further_seeds_of_the_release_leave_the_draft_as_it_is(tmp_path: Path) -> None:
    plan, more = load(tmp_path, {}), load(tmp_path, {"release_seeds": [12, 13]})
    assert plan.judging("draft") == more.judging("draft")
    assert plan.judging("release") != more.judging("release")
