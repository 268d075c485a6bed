"""Few-step students on a card: those that passed go out, all are told of."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from director_diffusion.evaluation.difference import Difference
from director_diffusion.evaluation.few_steps_types import FEW_STEPS_FILE, FewSteps
from director_diffusion.evaluation.types import Outcome, Verdict
from director_diffusion.publishing.card import write_model_card
from director_diffusion.publishing.inputs import CardInputs
from director_diffusion.publishing.students import ShownStudent, Students
from director_diffusion.publishing.text_students import students_section
from director_diffusion.specs import AdamW, ConsistencyTurbo, Guidance, HubSource, LoraAdapter, StepCount, StockWeights
from tests.publishing.publishing_inputs import card_inputs, finding, with_base


def student(folder: Path, count: StepCount, outcome: Outcome) -> ShownStudent:
    weights = folder / f"student-{count}.safetensors"
    save_file({"transformer.x.lora_A.weight": np.full((2, 2), count, np.float32)}, weights)
    how = (8, 2, 0.95, "studentised")  # prompts, seeds, confidence, kind
    differences = (
        Difference("encoder", 0.4, 0.5, -0.1, -0.2, 0.0, *how),
        Difference("prompt", 0.6, 0.62, -0.02, -0.03, -0.01, *how),
    )
    judged = FewSteps(
        count, Verdict(outcome, ("why",)), (finding("style_kept", outcome),), {"base_in_style": 0.97}, differences, ()
    )
    return ShownStudent(weights, judged)


@pytest.fixture
def card(tmp_path: Path) -> CardInputs:
    shown = (student(tmp_path, 2, "undecided"), student(tmp_path, 4, "pass"))
    return replace(card_inputs(tmp_path), students=Students(shown, Image.new("RGB", (30, 20), "white")))


def test_what_passed_is_in_the_repository_and_the_rest_is_told_as_withheld(card: CardInputs, tmp_path: Path) -> None:
    repo = write_model_card(card, tmp_path / "out")
    assert (repo / "turbo_4_steps.safetensors").read_bytes() == (tmp_path / "student-4.safetensors").read_bytes()
    assert not (repo / "turbo_2_steps.safetensors").exists()
    assert [one["count"] for one in json.loads((repo / FEW_STEPS_FILE).read_text())] == [2, 4]
    text = (repo / "README.md").read_text()
    assert "| 2 steps | undecided | 97% | -0.100 (-0.200 to +0.000) | -0.020 (-0.030 to -0.010) | withheld |" in text
    assert "| 4 steps | pass |" in text
    assert (repo / "images/few-steps.png").is_file()
    again = write_model_card(card, tmp_path / "again")
    assert (again / "README.md").read_bytes() == (repo / "README.md").read_bytes()


def test_the_example_wears_a_student_that_passed_on_the_adapter(card: CardInputs) -> None:
    text = students_section(card)
    example = text.split("```python\n")[1].split("```")[0]
    compile(example, "card", "exec")
    assert 'weight_name="turbo_4_steps.safetensors"' in example
    assert "num_inference_steps=4, true_cfg_scale=1.0" in example
    embedded = with_base(card, guidance=Guidance(kind="embedded", train=1.0, sample=3.5))
    assert "num_inference_steps=4, guidance_scale=3.5" in students_section(embedded)


def test_of_a_unet_the_example_draws_by_the_lcm_scheduler(card: CardInputs) -> None:
    turbo = ConsistencyTurbo(
        kind="consistency", adapter=LoraAdapter(kind="lora", rank=2, alpha=2), optimizer=AdamW(lr=1e-4), steps=2,
        checkpoint_every=2,
    )  # fmt: skip
    text = students_section(replace(card, recipe=card.recipe.model_copy(update={"turbo": turbo})))
    example = text.split("```python\n")[1].split("```")[0]
    compile(example, "card", "exec")
    assert 'LCMScheduler.from_config(pipe.scheduler.config, timestep_spacing="trailing")' in example
    assert "num_inference_steps=4, guidance_scale=0)" in example


def test_others_weights_stand_below_the_student_of_as_many_steps(card: CardInputs, tmp_path: Path) -> None:
    assert card.students is not None
    assert "tock weights" not in students_section(card)
    source = HubSource(kind="hub", repo="latent-consistency/lcm-lora-sdv1-5", revision="ab12" * 10)
    turbo = ConsistencyTurbo(
        kind="consistency", adapter=LoraAdapter(kind="lora", rank=2, alpha=2), optimizer=AdamW(lr=1e-4), steps=2,
        checkpoint_every=2, baseline=StockWeights(source=source),
    )  # fmt: skip
    stock = tuple(replace(student(tmp_path, count, "fail").judged, of="stock") for count in (2, 4))
    beside = replace(
        card,
        recipe=card.recipe.model_copy(update={"turbo": turbo}),
        students=replace(card.students, baseline=stock),
    )
    text = students_section(beside)
    rows = [line.split(" | ")[0] for line in text.splitlines() if " steps | " in line]
    assert rows == ["| 2 steps", "| stock weights, 2 steps", "| 4 steps", "| stock weights, 4 steps"]
    assert "| stock weights, 4 steps | fail | 97% | -0.100 (-0.200 to +0.000) |" in text
    assert "latent-consistency/lcm-lora-sdv1-5](https://huggingface.co/latent-consistency" in text
    assert " at ab12ab12" in text
    repo = write_model_card(beside, tmp_path / "out")
    told = [(one["of"], one["count"]) for one in json.loads((repo / FEW_STEPS_FILE).read_text())]
    assert told == [("student", 2), ("student", 4), ("stock", 2), ("stock", 4)]
    assert len(list(repo.glob("turbo_*"))) == 1


def test_where_none_passed_there_is_nothing_to_use(card: CardInputs) -> None:
    assert card.students is not None
    failed = replace(card, students=replace(card.students, shown=card.students.shown[:1]))
    assert "```" not in students_section(failed)


def test_a_card_without_students_says_nothing_of_them(tmp_path: Path) -> None:
    assert students_section(card_inputs(tmp_path)) == ""
