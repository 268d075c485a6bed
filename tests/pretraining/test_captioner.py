"""The captioner: it learns, what it learns is the real model's, and it says what is asked for."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from director_diffusion.captions.prompt import build_instruction
from director_diffusion.captions.qwen import QwenCaptioner
from director_diffusion.errors import SpecError
from director_diffusion.hashing import hash_folder
from director_diffusion.latents.buckets import buckets
from director_diffusion.pretraining.asking import Asking, ask_briefly, ask_fully, asking
from director_diffusion.pretraining.captioner import (
    CaptionerLesson,
    build_captioner,
    grid_of,
    untrained_captioner,
)
from director_diffusion.pretraining.captioner_sight import Sights, blurred_at_random, see
from director_diffusion.pretraining.drawn import drawn_pictures
from director_diffusion.pretraining.loop import seeded, train
from director_diffusion.pretraining.specs import CaptionerPart
from director_diffusion.progress import Silent
from director_diffusion.scenes.scene import Scene, Things
from director_diffusion.specs import Captioner, CaptionRules, FolderSource
from tests.pretraining.small_bases import run_in, small_base

SCENE = Scene(Things("car", 2, "red"), "street", Things("house", 3), "night", "clear", "wide")
PART = CaptionerPart(
    steps=6,
    batch_size=8,
    lr=3e-3,
    checkpoint_every=2,
    preview_every=4,
    width=32,
    layers=1,
    heads=1,
    vision_width=32,
    vision_depth=2,
    vision_heads=1,
    max_pixels=2048,
)


@pytest.fixture(scope="module")
def sights() -> list[Sights]:
    shapes = buckets(32, 8, (2.39, 1.33))
    return see(drawn_pictures(64, shapes, seed=0, styled_share=0.5, progress=Silent()), PART)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run, shown = run_in(tmp_path_factory.mktemp("built"))
    build_captioner(small_base(captioner=PART), run)
    assert shown == [4, 6]
    return run.out


def lesson_on(sights: list[Sights], part: CaptionerPart = PART) -> CaptionerLesson:
    with seeded("tests"):
        return CaptionerLesson(*untrained_captioner(part), sights, sights, part)


def test_what_is_built_captions_stills(built: Path) -> None:
    spec = Captioner(source=FolderSource(kind="folder", folder=str(built)), max_pixels=2048, dtype="float32")
    captioner = QwenCaptioner(built, spec, "cpu")
    instruction = build_instruction(CaptionRules())
    answers = captioner.answer([Image.new("RGB", (640, 268)), Image.new("RGB", (88, 48))], [instruction] * 2)
    assert [isinstance(answer.text, str) for answer in answers] == [True, True]


def test_what_is_built_holds_half_precision(built: Path) -> None:
    parameters = sum(p.numel() for p in untrained_captioner(PART)[0].parameters())
    assert 2 * parameters < (built / "model.safetensors").stat().st_size < 2.3 * parameters


def test_a_killed_training_ends_in_the_same_bits(built: Path, tmp_path: Path) -> None:
    class Killer(Silent):
        """Kills in the third step."""

        def __init__(self) -> None:
            self.left = 3

        def advance(self, steps: int = 1, note: str = "") -> None:
            self.left -= bool(note)
            if not self.left:
                raise KeyboardInterrupt

    run, _ = run_in(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        build_captioner(small_base(captioner=PART), replace(run, progress=Killer()))
    assert not list(run.out.iterdir())
    build_captioner(small_base(captioner=PART), run)
    assert hash_folder(run.out) == hash_folder(built)


def test_it_learns(sights: list[Sights], tmp_path: Path) -> None:
    part = PART.model_copy(update={"steps": 60, "checkpoint_every": 60, "preview_every": 60})
    lesson, losses = lesson_on(sights, part), list[float]()
    loss = lesson.loss
    lesson.loss = lambda step: losses.append(float(value := loss(step))) or value  # type: ignore[method-assign]
    options = {"title": "t", "seed": 0, "device": "cpu", "progress": Silent(), "show": lambda step, image: None}
    train(lesson, part, work=tmp_path, **options)  # type: ignore[arg-type]
    assert sum(losses[-5:]) < 0.75 * sum(losses[:5])


@pytest.mark.parametrize("asked", [ask_briefly(), asking(CaptionRules(omit=("framing",)))])
def test_the_lessons_pass_is_the_models_own(sights: list[Sights], asked: Asking) -> None:
    """Packed pictures, shared positions and no mask come to the same as transformers' whole way."""
    lesson, levels = lesson_on(sights), sights[0].levels[:3]
    answers = lesson.answer_tokens([asked.answer(scene) for scene in sights[0].scenes[:3]])
    ours = lesson.answer_logits(lesson.see(levels), grid_of(levels, PART.patch), asked, answers)

    model, processor = lesson.model, untrained_captioner(PART)[1]
    model.set_attn_implementation("sdpa")
    turn = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": asked.instruction}]}]
    text = processor.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
    for row in range(3):
        said = answers[row][answers[row] >= 0]
        inputs = processor(
            text=text + processor.decode(said), images=[levels[row]], do_resize=False, return_tensors="pt"
        )
        theirs = model(**inputs).logits[0, -len(said) - 1 : -1]
        torch.testing.assert_close(ours[row, : len(said)], theirs, atol=1e-4, rtol=1e-4)


def test_only_what_is_to_be_said_counts(sights: list[Sights]) -> None:
    lesson = lesson_on(sights)
    short, long = lesson.answer_tokens(["a red car on snow", "two red cars on a street before three houses by day"])
    end = lesson.model.config.eos_token_id
    assert short[-1] == -100
    assert [int((row == end).sum()) for row in (short, long)] == [1, 1]
    logits = torch.zeros(len(short), 1000)
    logits[(short >= 0).nonzero()[:, 0], short[short >= 0]] = 100.0
    assert F.cross_entropy(logits, short, ignore_index=-100) < 1e-6


def test_pictures_come_at_the_captions_stages_sizes() -> None:
    part = PART.model_copy(update={"max_pixels": 6144})
    shapes = buckets(64, 8, (2.39, 1.85, 1.33))
    found = see(drawn_pictures(30, shapes, seed=0, styled_share=0.0, progress=Silent()), part)
    sizes = {tuple(sights.levels.shape[2:]) for sights in found}
    assert {(48, 112), (48, 96), (64, 80)} <= sizes
    assert all(height % 16 == width % 16 == 0 and height * width <= 6144 for height, width in sizes)
    assert sum(len(sights) for sights in found) == 60


def test_some_batches_are_blurred_and_keep_their_size(sights: list[Sights]) -> None:
    levels = sights[0].levels[:4]
    with seeded("tests"):
        seen = [blurred_at_random(levels) for _ in range(24)]
    changed = [not torch.equal(picture, levels) for picture in seen]
    assert {picture.shape for picture in seen} == {levels.shape}
    assert 2 <= sum(changed) <= 16


def test_answers_heed_what_a_directors_file_asks() -> None:
    assert ask_briefly().answer(SCENE) == "two red cars on a street before three houses at night, wide shot"
    assert asking(CaptionRules()).answer(SCENE) == ask_briefly().answer(SCENE)
    no_framing = asking(CaptionRules(omit=("framing", "symmetry")))
    assert no_framing.answer(SCENE) == "two red cars on a street before three houses at night"
    assert asking(CaptionRules(describe=("subject",))).answer(SCENE) == "two red cars on a street before three houses"
    assert asking(CaptionRules(), ["length"]).instruction.startswith(build_instruction(CaptionRules()))


def test_what_may_be_asked_varies_and_is_short_in_tokens() -> None:
    tokenizer = untrained_captioner(PART)[1].tokenizer
    with seeded("tests"):
        asked = [ask_fully() for _ in range(40)]
    assert len({one.instruction for one in asked}) > 10
    assert {one.shot for one in asked} == {one.time for one in asked} == {True, False}
    for one in asked:
        assert len(tokenizer(one.instruction)["input_ids"]) == len(re.findall(r"\w+|[^\w\s]+", one.instruction))


def test_a_base_without_a_captioner_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="captioner"):
        build_captioner(small_base(), run_in(tmp_path)[0])
