"""Every quality rule: what it must catch, and the ordinary content that it must leave alone."""

import pytest

from director_diffusion.captions.prompt import Rule
from director_diffusion.captions.quality import judge_caption, near_identical
from director_diffusion.captions.tidy import tidy
from director_diffusion.specs import Captioner, CaptionRules, Director, FolderSource

SPEC = Captioner(source=FolderSource(kind="folder", folder="models/mini/captioner"))
ANDERSON = Director(
    slug="anderson",
    name="Wes Anderson",
    trigger="wes anderson style",
    stills_licence="drawn",
    captions=CaptionRules(
        omit=("mood", "framing", "symmetry"), forbidden_words=("Tenenbaums", "Dune", "Grand Budapest", "accordion")
    ),
)
FILMS = ("dog", "red_car", "fight_club", "arrival", "2049", "the_grand_budapest_hotel", "_")


def rules(text: str, hit_limit: bool = False) -> set[Rule]:
    found = judge_caption(
        text,
        hit_limit=hit_limit,
        director=ANDERSON,
        spec=SPEC,
        films=FILMS,
        count_tokens=lambda prompt: len(prompt.split()),
        max_tokens=60,
    )
    assert all(str(problem).startswith(problem.rule.replace("_", " ")) for problem in found)
    return {problem.rule for problem in found}


@pytest.mark.parametrize(
    "text",
    [
        "a red car on a street by day",
        "A man in a dark hallway looks at a blue car through a window.",
        "A black and white dog sits beside a vintage car under an old-style lamp.",
        "A sand dune under a cloudy sky, with a tower of dark stone behind it.",
        "A two-toned car is parked by the sea at night.",
        "Two dogs run across a field; one of them is out of focus behind a red car.",
        "Dog on a sofa with a photograph of a woman on the wall behind it.",
        "A sign reads 'I'm sorry we are closed' in the window of a diner.",
        "A woman reads a letter, a letter opener in her hand, in an arrival hall.",
        "A shop front in Tokyo with the sign 出口 above its door and people walking by.",
        "An astronaut stands in 2049 grains of rice.",
        "Un café à Montréal, un homme à moustache près d'une fenêtre.",
        "A picture frame has fallen from the wall onto a wooden floor.",
    ],
)
def test_leaves_ordinary_content_alone(text: str) -> None:
    assert rules(tidy(text)) == set()


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("I'm sorry, but I can't help with that.", "refusal"),
        ("I’m sorry, I cannot identify people.", "refusal"),
        ("As an AI language model, I have no eyes.", "refusal"),
        ("It is a man, but I am unable to identify him.", "refusal"),
        ("A man walks while the image shows a dog.", "meta_talk"),
        ("A man stands in the image beside a car.", "meta_talk"),
        ("A car and a house; the viewer looks down on them.", "meta_talk"),
        ("This appears to be a scene from a film with a man.", "meta_talk"),
        ("the the the the the", "repetition"),
        ("a red car and a red car and a red car and a red car", "repetition"),
        ("A man walks along the", "truncation"),
        ("A man walks, a dog,", "truncation"),
        ("一个男人在街上走路 with a dog", "script"),
        ("12 34 56 78", "script"),
        ("a man \x00 in a car", "script"),
        ("a man � in a car", "script"),
        ("A hotel as Wes Anderson would draw it", "name"),
        ("a hotel as wes anderson would draw it", "name"),
        ("A hotel in wes anderson style with a lobby", "name"),
        ("A man from the Tenenbaums family stands there", "name"),
        ("Anderson's hotel on a hill", "name"),
        ("A man on the planet of Dune", "name"),
        ("A man plays the Accordion in a bar", "name"),
        ("A man sits in the Fight Club bar", "name"),
        ("A poster of Arrival hangs on the wall", "name"),
        ("A moody street with a man", "style"),
        ("A cinematic view of a street", "style"),
        ("A neo-noir street with a man", "style"),
        ("A street in a muted colour palette", "style"),
        ("A street, creating a sense of unease", "style"),
        ("A room with dramatic lighting and a man", "style"),
        ("A street in the style of an old painter", "style"),
        ("A man in an atmospheric landscape", "style"),
        ("A street in warm tones with a man", "style"),
        ("A symmetrical hotel with a red door", "omitted"),
        ("A close-up of a man at a desk", "omitted"),
        ("Car", "length"),
        ("", "length"),
        (" ".join(f"word{place}" for place in range(61)), "length"),
    ],
)
def test_catches(text: str, rule: Rule) -> None:
    assert rule in rules(text)


def test_what_ran_into_the_token_limit_is_truncated_however_it_ends() -> None:
    assert rules("A man walks along a street.", hit_limit=True) == {"truncation"}


def test_counts_tokens_with_the_trigger() -> None:
    text = " ".join(f"word{place}" for place in range(58))
    assert rules(text) == {"tokens"}
    assert rules(text.rsplit(" ", 1)[0]) == set()


def test_a_directors_file_decides_whether_framing_counts() -> None:
    free = ANDERSON.model_copy(update={"captions": CaptionRules()})
    found = judge_caption(
        "A close-up of a man at a desk",
        hit_limit=False,
        director=free,
        spec=SPEC,
        films=(),
        count_tokens=len,
        max_tokens=500,
    )
    assert found == []


def test_a_director_named_by_a_plain_word_does_not_forbid_the_word() -> None:
    dogs = Director(slug="dogs", name="Dogs", trigger="sks photo", stills_licence="CC BY 4.0")
    for text in ("Two dogs on a lawn", "Dogs on a lawn", "A cat. Dogs run by."):
        assert not judge_caption(
            text, hit_limit=False, director=dogs, spec=SPEC, films=("dog",), count_tokens=len, max_tokens=500
        )


def test_near_identical_captions_point_to_the_first_that_said_it() -> None:
    texts = [
        "A red car on a street by day.",
        "a blue car on a street by day",
        "a red car on a street, by day",
        "",
        "",
        "A RED car on a street by day",
    ]
    assert near_identical(texts) == {2: 0, 5: 0}


@pytest.mark.parametrize(
    ("said", "caption"),
    [
        ("The image shows a man in a car.", "A man in a car."),
        ("This still depicts two dogs\nrunning.", "Two dogs running."),
        ("In this photo, we can see a tower.", "A tower."),
        ("Sure! Here is a short description of the picture: A tower by the sea.", "A tower by the sea."),
        ('"A tower by the sea."', "A tower by the sea."),
        ("**Caption:** A film still of a tower by the sea.", "A tower by the sea."),
        ("There are three trees on a hill.", "Three trees on a hill."),
        ("A picture frame hangs on a wall.", "A picture frame hangs on a wall."),
        ("The image shows", "The image shows"),
        ("", ""),
    ],
)
def test_tidying_removes_wrapping_and_nothing_else(said: str, caption: str) -> None:
    assert tidy(said) == caption
    assert tidy(caption) == caption
