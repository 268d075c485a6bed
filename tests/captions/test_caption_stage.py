"""The captions stage with a captioner that says what it is told to: who is asked, reused, retried, given up."""

import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from PIL import Image

from director_diffusion.captions.answers import Answer, PictureReader
from director_diffusion.captions.caption import caption_stills
from director_diffusion.captions.checks import CHECKS, judge
from director_diffusion.captions.gallery import caption_gallery
from director_diffusion.captions.prompt import caption_fingerprint
from director_diffusion.captions.rows import Caption
from director_diffusion.captions.written import unmatched_captions
from director_diffusion.progress import Silent
from director_diffusion.specs import Captioner, Director, FolderSource
from director_diffusion.stills.rows import Still, WrittenCaption
from director_diffusion.storage import ItemCache, Store
from director_diffusion.tables import read_table

SPEC = Captioner(source=FolderSource(kind="folder", folder="models/mini/captioner"))
NOLAN = Director(slug="nolan", name="Christopher Nolan", trigger="nolan style", stills_licence="drawn")
GOOD = ["A red car on a street.", "Two houses on a hill.", "A tower by the sea.", "Three trees in the snow."]


def still(name: str, width: int = 16) -> Still:
    return Still(
        still=f"id-{name.split('.')[0]}",
        film="film",
        name=name,
        sha256="",
        status="kept",
        reason="",
        warnings=(),
        split="train",
        width=width,
        height=9,
        crop=(),
        reference="",
        file="",
        phash="0" * 16,
        cluster=0,
    )


@dataclass
class Stills:
    kept: tuple[Still, ...]

    def open(self, still: Still) -> Image.Image:
        # The colour says which still it is: place in the set.
        return Image.new("RGB", (still.width, still.height), (self.kept.index(still), 0, 0))


@dataclass
class Scripted:
    """Answers by still and attempt; what it was asked is kept."""

    script: dict[int, list[str]]
    asked: list[tuple[int, str]] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    loaded: int = 0
    dies_after: int = 10**6

    def __call__(self) -> "Scripted":
        self.loaded += 1
        return self

    def answer(self, images: Sequence[Image.Image], instructions: Sequence[str]) -> list[Answer]:
        self.batches.append(len(images))
        if len(self.batches) > self.dies_after:
            raise KeyboardInterrupt
        answers = []
        for image, instruction in zip(images, instructions, strict=True):
            place = image.getpixel((0, 0))[0]
            attempt = sum(place == before for before, _ in self.asked)
            self.asked.append((place, instruction))
            answers.append(Answer(self.script[place][attempt], hit_limit=False))
        return answers


@dataclass
class Room:
    """A set of stills, what is written beside them, and a cache that lasts."""

    tmp: Path
    stills: Stills
    written: list[WrittenCaption] = field(default_factory=list)
    director: Director = NOLAN
    batch_size: int = 2

    def run(self, reader: Callable[[], PictureReader]) -> list[Caption]:
        fingerprint = caption_fingerprint(self.director, SPEC, "model")
        return caption_stills(
            self.stills,
            self.written,
            self.director,
            SPEC,
            cache=ItemCache(Store(str(self.tmp / "store")), "captions", fingerprint, ".json"),
            captioner=reader,
            count_tokens=lambda prompt: len(re.findall(r"\w+", prompt)),
            max_tokens=64,
            batch_size=self.batch_size,
            out=self.tmp / "out",
            progress=Silent(),
        )


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path, Stills(tuple(still(f"{letter}.jpg") for letter in "abcd")))


def by_person(stem: str, text: str, problem: str = "") -> WrittenCaption:
    return WrittenCaption(film="film", stem=stem, text=text, sha256="", problem=problem)


def test_every_still_gets_a_row_in_order_and_the_table_is_written(room: Room) -> None:
    captions = room.run(Scripted({place: [text] for place, text in enumerate(GOOD)}))
    assert [caption.text for caption in captions] == GOOD
    assert {(caption.source, caption.status, caption.attempts) for caption in captions} == {("model", "ok", 1)}
    assert captions[0].tokens == 2 + 6  # trigger and caption
    assert read_table(room.tmp / "out" / "captions.parquet", Caption) == captions


def test_nothing_is_asked_or_loaded_twice(room: Room) -> None:
    first = room.run(Scripted({place: [text] for place, text in enumerate(GOOD)}))
    again = Scripted({})
    assert room.run(again) == first
    assert again.loaded == 0


def test_only_new_stills_are_asked_about(room: Room) -> None:
    script = {place: [text] for place, text in enumerate(GOOD)}
    stills = room.stills.kept
    room.stills = Stills(stills[:3])
    room.run(Scripted(script))
    room.stills = Stills(stills)
    reader = Scripted(script)
    room.run(reader)
    assert [place for place, _ in reader.asked] == [3]


def test_what_was_answered_before_a_kill_is_kept(room: Room) -> None:
    script = {place: [text] for place, text in enumerate(GOOD)}
    with pytest.raises(KeyboardInterrupt):
        room.run(Scripted(script, dies_after=1))
    reader = Scripted(script)
    assert [caption.text for caption in room.run(reader)] == GOOD
    assert len(reader.asked) == 2


def test_a_persons_caption_wins_and_is_never_asked_about(room: Room) -> None:
    room.written = [by_person("a", "nolan style,  a moody\n street "), by_person("b", "one of two houses")]
    reader = Scripted({2: [GOOD[2]], 3: [GOOD[3]]})
    captions = room.run(reader)
    assert [caption.source for caption in captions] == ["person", "person", "model", "model"]
    assert (captions[0].text, captions[0].status, captions[0].attempts) == ("a moody street", "ok", 0)
    assert captions[0].problems == ("style: speaks of mood: 'moody'",)  # advice


def test_a_written_caption_is_found_whatever_the_form_of_its_letters(room: Room) -> None:
    room.stills = Stills((still("é.jpg"),))  # composed
    room.written = [by_person("e\u0301", "a street in the rain")]  # decomposed, as macOS stores names
    assert room.run(Scripted({}))[0].text == "a street in the rain"


def test_an_empty_or_unreadable_file_is_noted_and_the_model_asked(room: Room) -> None:
    room.written = [by_person("a", "  \n"), by_person("b", "", problem="is not UTF-8 text")]
    captions = room.run(Scripted({place: [text] for place, text in enumerate(GOOD)}))
    assert captions[0].problems == ("written caption: the file is empty",)
    assert captions[1].problems == ("written caption: is not UTF-8 text",)
    assert {caption.source for caption in captions} == {"model"}


def test_a_failing_caption_is_asked_again_with_what_was_wrong(room: Room) -> None:
    script = {place: [text] for place, text in enumerate(GOOD)}
    script[1] = ["A moody and cinematic street.", "A street with a lamp."]
    reader = Scripted(script)
    captions = room.run(reader)
    assert (captions[1].text, captions[1].attempts, captions[1].problems) == ("A street with a lamp.", 2, ())
    place, instruction = reader.asked[-1]
    assert place == 1
    assert instruction.startswith(reader.asked[0][1])
    assert "Leave out every word about style" in instruction
    assert reader.loaded == 1
    assert room.run(Scripted({})) == captions


def test_what_fails_twice_needs_a_person_and_keeps_its_row(room: Room) -> None:
    script = {place: [text] for place, text in enumerate(GOOD)}
    script[2] = ["I'm sorry, I cannot help.", "I'm sorry, no."]
    captions = room.run(Scripted(script))
    assert (captions[2].text, captions[2].source, captions[2].status) == ("", "none", "needs_person")
    assert captions[2].problems == ('refusal: says "I\'m sorry"',)
    assert captions[2].tokens == 2  # trains on the trigger alone
    assert len(captions) == 4


def test_of_near_identical_captions_the_first_stands_and_the_others_are_asked_again(room: Room) -> None:
    script = {0: [GOOD[0]], 1: [GOOD[0], GOOD[1]], 2: [GOOD[0], GOOD[0]], 3: [GOOD[3]]}
    captions = room.run(Scripted(script))
    assert [caption.text for caption in captions] == [GOOD[0], GOOD[1], "", GOOD[3]]
    assert captions[2].problems == ("near identical: says what film/a.jpg says",)


def test_people_may_say_the_same_twice_but_hear_of_it(room: Room) -> None:
    room.written = [by_person("c", "a tower by the sea"), by_person("d", "a tower by the sea")]
    captions = room.run(Scripted({0: ["A tower by the sea.", GOOD[0]], 1: [GOOD[1]]}))
    assert [caption.text for caption in captions] == [GOOD[0], GOOD[1], "a tower by the sea", "a tower by the sea"]
    assert captions[3].problems == ("near identical: says what film/c.jpg says",)
    assert captions[0].attempts == 2  # it said what a person says


def test_batches_hold_stills_of_like_size(room: Room) -> None:
    room.stills = Stills(tuple(still(f"{n}.jpg", width) for n, width in enumerate((40, 16, 40, 16, 16))))
    reader = Scripted({place: [f"{text} {place}"] for place, text in enumerate([*GOOD, "A dog in a park."])})
    room.run(reader)
    assert reader.batches == [2, 2, 1]
    assert {place for place, _ in reader.asked[:3]} == {1, 3, 4}


def test_caption_files_beside_no_still_are_found(room: Room) -> None:
    written = [by_person("a", "x"), by_person("typo", "y")]
    assert unmatched_captions(written, room.stills.kept) == ["film/typo"]


# --- checks and gallery ------------------------------------------------------------------------------------------


def row(number: int, ok: bool) -> Caption:
    return Caption(
        still=f"id-{'abcd'[number]}",
        film="film",
        name=f"{number}.jpg",
        split="train",
        text=GOOD[number] if ok else "",
        source="model" if ok else "none",
        status="ok" if ok else "needs_person",
        problems=() if ok else ("refusal: says 'no'",),
        attempts=1 if ok else 2,
        tokens=3,
    )


def outcomes(captioned: int, minimum: float | None) -> dict[str, bool]:
    captions = [row(number, number < captioned) for number in range(4)]
    answers = judge(captions, NOLAN.model_copy(update={"min_captioned": minimum}))
    assert [(answer.name, answer.blocking) for answer in answers] == [(check.name, check.blocking) for check in CHECKS]
    assert all(answer.metadata["captioned"] == captioned for answer in answers)
    return {answer.name: answer.passed for answer in answers}


@pytest.mark.parametrize(
    ("captioned", "minimum", "usable", "enough"),
    [
        (4, None, True, True),
        (2, None, False, True),
        (2, 0.5, False, True),
        (2, 0.6, False, False),
        (0, None, False, True),
    ],
)
def test_the_blocking_check_blocks_only_where_the_director_asks(
    captioned: int, minimum: float | None, usable: bool, enough: bool
) -> None:
    assert outcomes(captioned, minimum) == {"captions_usable": usable, "enough_captioned": enough}


def test_a_failing_check_says_what_to_do() -> None:
    usable, enough = judge([row(0, False)], NOLAN.model_copy(update={"min_captioned": 0.5}))
    assert "0 of 1" in usable.description
    assert "write a .txt file" in enough.description
    assert usable.metadata["problems"] == {"refusal": 1}


def test_the_gallery_shows_pictures_texts_and_what_needs_a_person(room: Room) -> None:
    captions = [row(0, True), row(1, False), replace(row(2, True), text="A <b>sign</b> | *shop*"), row(3, True)]
    table = caption_gallery(room.stills, captions, limit=3).splitlines()
    assert len(table) == 2 + 3
    assert "needs a person" in table[2]
    assert "refusal" in table[2]
    assert all("data:image/jpeg;base64," in line for line in table[2:])
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 4 for line in table)
    assert "<b>" not in "".join(table)


def test_a_gallery_of_nothing_is_an_empty_table(room: Room) -> None:
    assert len(caption_gallery(room.stills, []).splitlines()) == 2


def test_an_untrained_captioners_garbage_is_counted_not_trained_on(room: Room, untrained_captioner: Path) -> None:
    from director_diffusion.captions.qwen import QwenCaptioner

    room.written = [by_person("a", "a red car on a street")]
    spec = SPEC.model_copy(update={"max_pixels": 50_176, "max_new_tokens": 12, "dtype": "float32"})
    captions = room.run(lambda: QwenCaptioner(untrained_captioner, spec, "cpu"))
    assert [caption.status for caption in captions] == ["ok", *["needs_person"] * 3]
    assert all(caption.problems and caption.attempts == 2 for caption in captions[1:])
    usable, enough = judge(captions, NOLAN)
    assert (usable.passed, usable.metadata["captioned"], enough.passed) == (False, 1, True)


def test_checks_and_stage_need_no_torch() -> None:
    code = (
        "import sys, director_diffusion.captions.caption, director_diffusion.captions.checks;"
        "print({'torch', 'transformers', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
