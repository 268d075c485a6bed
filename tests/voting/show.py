"""Something to vote on: evaluations and stills in a store, pictures of one colour with what files like to carry."""

import io
from collections.abc import Sequence

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from director_diffusion.evaluation.types import SCORES_FILE, Metric, Score
from director_diffusion.hashing import hash_bytes, short
from director_diffusion.sampling.rows import ARMS, FILE, Arm, Sample
from director_diffusion.stills.rows import STILLS_FILE, Still
from director_diffusion.storage import Store
from director_diffusion.voting.pairs import Pair, Shown
from tests.lineages import Lineage

DIRECTORS, RECIPE = ("nolan", "fincher"), "mini_lora"
PROMPTS = 6
KEY = bytes(range(32))
COLOURS: dict[Arm, tuple[int, int, int]] = {
    "base": (90, 90, 90),
    "base_in_style": (120, 60, 60),
    "adapter": (20, 40, 160),
}
SECRET = "adapter of nolan, painted 2026-11-22"


def set_up(store: Store, *, shade: int = 0) -> Store:
    """An evaluation of each director; another `shade` is another adapter's."""
    for director in DIRECTORS:
        lineage = Lineage(store, director)
        samples = [_sample(store, director, arm, prompt, shade) for arm in ARMS for prompt in range(PROMPTS)]
        lineage.make((RECIPE, "evaluation"), {}, tables={FILE: samples, SCORES_FILE: [score(one) for one in samples]})
        lineage.make(("stills",), {}, tables={STILLS_FILE: [_still(store, director, number) for number in range(6)]})
    return store


def score(sample: Sample, metric: Metric = "clip") -> Score:
    """The adapter is always nearer by it."""
    return Score(
        sample.arm, sample.prompt_index, sample.seed, metric, 0.5 + 0.1 * (sample.arm == "adapter"), sample.item
    )


def colour_of(data: bytes) -> tuple[int, int, int]:
    with Image.open(io.BytesIO(data)) as image:
        pixel = image.convert("RGB").getpixel((0, 0))
        assert isinstance(pixel, tuple)
        return pixel[0], pixel[1], pixel[2]


def arm_of(colour: Sequence[int]) -> str:
    """Which arm drew a picture of that colour; its blue varies with the prompt."""
    return next(arm for arm, known in COLOURS.items() if (colour[0], colour[1]) == known[:2])


def shown(pair: Pair, sha256: str) -> Shown:
    return next(one for one in pair.pictures if one.sha256 == sha256)


def _sample(store: Store, director: str, arm: Arm, prompt: int, shade: int) -> Sample:
    red, green, blue = COLOURS[arm]
    mine = 0 if arm == "base" else 20 * DIRECTORS.index(director) + 40 * shade
    data = _png((red, green, blue + prompt + mine))
    reference = f"cache/images/{short(hash_bytes(data))}.png"
    store.write(reference, data)
    words = f"a house number {prompt}"
    return Sample(
        arm, prompt, words, words, "house", False, 100 + prompt, f"item-{arm}-{prompt}", reference, hash_bytes(data)
    )


def _still(store: Store, director: str, number: int) -> Still:
    data, name = _png((200, 200, 10 * number)), f"stills/{director}/film/{number}.png"
    store.write(name, data)
    return Still(
        still=f"{director}{number}",
        film="film",
        name=f"{number}.png",
        sha256=hash_bytes(data),
        status="kept",
        reason="",
        warnings=(),
        split="held_out" if number < 5 else "train",
        width=16,
        height=9,
        crop=(),
        reference=name,
        file="",
        phash="0" * 16,
        cluster=0,
    )


def _png(colour: tuple[int, int, int]) -> bytes:
    told, data = PngInfo(), io.BytesIO()
    told.add_text("Software", SECRET)
    Image.new("RGB", (16, 9), colour).save(data, "png", pnginfo=told)
    return data.getvalue()
