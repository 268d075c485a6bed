"""draw_samples: each image once, whatever is asked for again, and by whom."""

import io
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from director_diffusion.errors import EvaluationError
from director_diffusion.families import longest_count
from director_diffusion.families.flux.drawing import FluxPainter
from director_diffusion.hashing import hash_bytes
from director_diffusion.progress import Silent
from director_diffusion.sampling.draw import draw_samples, image_cache
from director_diffusion.sampling.grids import comparison_grid
from director_diffusion.sampling.lots import draw_missing
from director_diffusion.sampling.prompts import arm_prompt, noise_seed, seeds_drawn
from director_diffusion.sampling.rows import ARMS, FOLD_ARMS, Sample
from director_diffusion.sampling.samplers import Sampler, plan_sampler
from director_diffusion.sampling.wearing import ArmAdapter, drawn_by
from director_diffusion.specs import Base, Director, EvaluationPlan
from director_diffusion.storage import ItemCache, Store
from director_diffusion.tables import read_table

BASE = Base.model_validate(
    {
        "slug": "mini",
        "name": "mini",
        "family": "flux",
        "source": {"kind": "folder", "folder": "models/mini/base"},
        "model_id": "mini",
        "licence": {"id": "apache-2.0"},
        "guidance": {"kind": "classifier_free", "sample": 2.0},
        "resolution": {"side": 64, "multiple": 8},
        "max_prompt_tokens": 48,
        "dtype": "float32",
    }
)
PROMPTS = ("a red house", "a car on a road", "two trees", "a figure at night")


def plan(seeds=(0,), release_seeds=(), **sampling):
    return EvaluationPlan.model_validate(
        {
            "slug": "p",
            "prompts": [{"text": text, "subject": "s", "novel": text == PROMPTS[3]} for text in PROMPTS],
            "seeds": seeds,
            "release_seeds": release_seeds,
            "sampling": {"steps": 1, "batch_size": 3, **sampling},
            "embedder": {"model": "m", "source": {"kind": "folder", "folder": "models/mini/embedder"}},
            "encoder": {"model": "m", "source": {"kind": "folder", "folder": "models/mini/style_encoder"}},
            "margins": {"memorised": 0.7},
        }
    )


def director(slug="nolan"):
    return Director(slug=slug, name=slug.title(), trigger=f"{slug} film", stills_licence="none")


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "store"))


@pytest.fixture
def drawn(monkeypatch):
    """Every prompt and seed that a painter was asked for."""
    asked, draw = [], FluxPainter.draw

    def recorded(self, prompts, seeds, **settings):
        asked.extend(zip(prompts, seeds, strict=True))
        return draw(self, prompts, seeds, **settings)

    monkeypatch.setattr(FluxPainter, "draw", recorded)
    return asked


@pytest.fixture
def sample(mini_base, make_adapter, store, tmp_path):
    adapter = make_adapter()

    def run(plan=plan(), director=director(), **changes):  # noqa: B008 — both are frozen
        settings = {
            "folder": mini_base,
            "seeds": plan.seeds,
            "base_fingerprint": "mini",
            "store": store,
            "device": "cpu",
            "out": tmp_path / "out",
            "progress": Silent(),
        }
        base = BASE.model_copy(update={"max_prompt_tokens": changes.pop("max_prompt_tokens", BASE.max_prompt_tokens)})
        worn = ArmAdapter(
            changes.pop("adapter", adapter), changes.pop("adapter_version", f"adapter of {director.slug}")
        )
        settings["adapters"] = {"adapter": worn, **changes.pop("folds", {})}
        return draw_samples(plan, base, director, **(settings | changes)).samples

    return run


def pixels(store, sample):
    return np.asarray(Image.open(io.BytesIO(store.read(sample.reference))))


def test_every_arm_has_every_prompt_and_seed(sample, store, tmp_path):
    rows = sample(plan(seeds=(0, 1)))
    assert [(row.arm, row.prompt_index, row.seed) for row in rows] == [
        (arm, prompt, noise_seed(PROMPTS[prompt], seed)) for arm in ARMS for prompt in range(4) for seed in (0, 1)
    ]
    assert [row.novel for row in rows] == [row.prompt == PROMPTS[3] for row in rows]
    assert read_table(tmp_path / "out" / "samples.parquet", Sample) == rows
    for row in rows:
        assert hash_bytes(store.read(row.reference)) == row.sha256
        assert (row.prompt, row.full_prompt) == (
            PROMPTS[row.prompt_index],
            arm_prompt(row.arm, row.prompt, director()),
        )
    assert len({row.sha256 for row in rows}) == len(rows)


def test_every_prompt_has_noise_of_its_own_and_all_arms_the_same(sample, drawn):
    sample(plan(seeds=(0, 1)))
    noises = {prompt: {seed for asked, seed in drawn if prompt in asked} for prompt in PROMPTS}
    assert all(len(seeds) == 2 for seeds in noises.values()), "as many as seeds, in three arms"
    assert len(set.union(*noises.values())) == 8
    assert all(0 <= seed < 2**32 for seed in set.union(*noises.values()))


def test_noise_is_the_prompts_and_not_its_place(sample, drawn):
    """A plan may be told in another order, or lose a prompt: pictures stay."""
    sample()
    drawn.clear()
    less = plan().model_copy(update={"prompts": plan().prompts[:0:-1]})
    assert len(sample(less)) == 9
    assert drawn == []


def test_a_release_draws_its_further_seeds_alone(sample, drawn):
    both = plan(release_seeds=(1, 2))
    draft = sample(both)
    drawn.clear()
    release = sample(both, seeds=both.seeds_of("release"))
    assert len(release) == 3 * len(draft)
    assert len(drawn) == 2 * len(draft)
    assert set(draft) <= set(release)
    assert seeds_drawn(release, both, "release") == (0, 1, 2)
    assert seeds_drawn(draft, both, "release") == seeds_drawn(draft, both, "draft") == (0,)


def test_arms_are_asked_for_the_style_as_people_would(sample):
    assert [arm_prompt(arm, "a red house", director()) for arm in ARMS] == [
        "a red house",
        "a red house, in the style of Nolan",
        "nolan film, a red house",
    ]


def test_images_are_plain_pngs_of_the_plans_aspect(sample, store):
    with Image.open(io.BytesIO(store.read(sample()[0].reference))) as image:
        assert (image.format, image.mode, image.info) == ("PNG", "RGB", {})
        assert image.width % 8 == image.height % 8 == 0
        assert image.width / image.height == pytest.approx(1.85, rel=0.1)


def test_nothing_is_loaded_or_drawn_again_where_all_is_there(sample, drawn, tmp_path):
    rows = sample()
    table = (tmp_path / "out" / "samples.parquet").read_bytes()
    drawn.clear()
    assert sample(folder=tmp_path / "gone", adapter=tmp_path / "gone too") == rows
    assert drawn == []
    assert (tmp_path / "out" / "samples.parquet").read_bytes() == table


def test_the_base_is_drawn_once_for_all_directors_and_recipes(sample, drawn):
    nolan = sample()
    drawn.clear()
    other_recipe = sample(adapter_version="another recipe's")
    assert len(drawn) == 4
    assert all(prompt.startswith("nolan film") for prompt, _ in drawn)
    drawn.clear()
    fincher = sample(director=director("fincher"))
    assert len(drawn) == 8
    assert [row.reference for row in nolan[:8]] == [row.reference for row in other_recipe[:8]]
    assert [row.reference for row in nolan[:4]] == [row.reference for row in fincher[:4]]


def test_what_another_version_draws_is_drawn_anew_in_every_arm(sample, drawn, monkeypatch):
    """Else an adapter drawn by it would be compared with a base drawn by the one before."""
    before = sample()
    drawn.clear()
    monkeypatch.setattr("director_diffusion.sampling.draw.drawn_by", lambda device: f"{device} torch 99")
    after = sample()
    assert len(drawn) == len(after) == 12
    assert not {row.reference for row in before} & {row.reference for row in after}


def test_what_draws_is_told_by_device_and_versions():
    by = drawn_by("cpu")
    assert by.startswith("cpu ")
    assert f"torch {torch.__version__.partition('+')[0]}" in by
    assert "diffusers " in by


@pytest.mark.parametrize("change", [{"steps": 2}, {"guidance": 3.0}, {"aspect": 1.0}])
def test_other_sampler_settings_are_other_images(store, change):
    one, other = (image_cache(store, BASE, plan_sampler(p, BASE), "mini") for p in (plan(), plan(**change)))
    assert one.folder != other.folder


def test_batch_size_is_no_setting_of_an_image(store):
    one, other = (image_cache(store, BASE, plan_sampler(p, BASE), "mini") for p in (plan(), plan(batch_size=4)))
    assert one.folder == other.folder


def test_a_new_prompt_costs_its_own_images_only(sample, drawn):
    sample(plan(batch_size=1))
    drawn.clear()
    changed = plan(batch_size=1).model_copy(
        update={"prompts": (*plan().prompts, plan().prompts[0].model_copy(update={"text": "a tower"}))}
    )
    sample(changed)
    assert len(drawn) == 3
    assert all("a tower" in prompt for prompt, _ in drawn)


def test_a_fresh_label_draws_everything_anew_and_once(sample, drawn, store):
    before = sample()
    drawn.clear()
    fresh = sample(fresh="week 12")
    assert len(drawn) == 12
    assert fresh == before, "same model, same noise: no drift, so the rows tell the images from before"
    drawn.clear()
    sample(fresh="week 12")
    assert drawn == []


def test_what_was_drawn_before_a_crash_is_kept_and_the_rest_comes_out_alike(sample, drawn, monkeypatch, tmp_path):
    whole = sample(store=Store(str(tmp_path / "other")))
    drawn.clear()
    draw = FluxPainter.draw

    def dies(self, prompts, seeds, **settings):
        if len(drawn) >= 7:
            raise KeyboardInterrupt
        return draw(self, prompts, seeds, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(FluxPainter, "draw", dies)
        with pytest.raises(KeyboardInterrupt):
            sample()
    assert 7 <= len(drawn) < 12, "batches of an arm are of 3 and 1, in either order"
    assert sample() == whole
    assert len(drawn) == 12, "what was drawn is not drawn again"


def test_what_another_run_has_drawn_by_then_is_not_drawn_again(store):
    """The base arm of several directors: each run has an order of its own, and looks again before it draws."""
    first = {}
    for whose in ("nolan", "fincher", "scorsese"):
        images, asked = ItemCache(store, "images", whose, ".png"), []
        wanted = [Asked(f"prompt {number}") for number in range(12)]

        class Drawing:
            def draw(self, prompts, seeds, *, images=images, asked=asked, wanted=wanted, **settings):
                asked.append(prompts[0])
                for one in wanted[:9] if len(asked) == 1 else ():  # by the other run, meanwhile
                    images.write(one.item, b"")
                return [Image.new("RGB", (8, 8)) for _ in prompts]

        with Silent().task("drawing", 12) as task:
            draw_missing(wanted, images, Sampler(8, 8, 1, 1.0), 3, Drawing, task, whose=whose)
        assert len(asked) <= 2, "its first batch, and the one that nobody had drawn"
        assert not images.missing(one.item for one in wanted)
        first[whose] = asked[0]
    assert len(set(first.values())) > 1


@dataclass(frozen=True)
class Asked:
    full_prompt: str
    seed: int = 0

    @property
    def item(self):
        return self.full_prompt.replace(" ", "-")


def test_the_adapter_arm_alone_has_the_adapter(sample, store):
    with_adapter, without = sample(), sample(director=director().model_copy(update={"trigger": "x"}))
    base, adapter = with_adapter[0], with_adapter[8]
    assert not np.array_equal(pixels(store, base), pixels(store, adapter))
    assert [row.sha256 for row in with_adapter[:4]] == [row.sha256 for row in without[:4]]


@pytest.mark.parametrize(
    ("arm", "way_out"),
    [
        ("base", r"Shorten the plan's prompt or raise max_prompt_tokens of the base\."),
        (
            "base_in_style",
            r"Shorten the plan's prompt or the director's name, or raise max_prompt_tokens of the base\.",
        ),
        ("adapter", r"Shorten the plan's prompt or the trigger, or raise max_prompt_tokens of the base\."),
    ],
)
def test_a_prompt_that_the_base_would_cut_off_is_refused_before_anything_is_drawn(
    sample, drawn, mini_base, arm, way_out
):
    long = {"adapter": director().model_copy(update={"trigger": "a very long trigger indeed, of many a word"})}
    who = long.get(arm, director())
    count = longest_count([("flux", mini_base)])
    counts = {one: [count(arm_prompt(one, text, who)) for text in PROMPTS] for one in ARMS}
    most = max(counts["base"]) - 1 if arm == "base" else max(max(counts[one]) for one in ARMS[: ARMS.index(arm)])
    first = next(place for place, tokens in enumerate(counts[arm]) if tokens > most)
    prompt = arm_prompt(arm, PROMPTS[first], who)
    said = rf'prompt {first + 1} of the arm {arm}, "{prompt}": has {counts[arm][first]} tokens, and mini reads {most}'
    with pytest.raises(EvaluationError, match=rf"{said}: the end would be cut off\. {way_out}"):
        sample(director=who, max_prompt_tokens=most)
    assert drawn == []


def test_a_prompt_as_long_as_the_base_reads_is_drawn(sample, mini_base):
    count = longest_count([("flux", mini_base)])
    most = max(count(arm_prompt(arm, text, director())) for arm in ARMS for text in PROMPTS)
    assert len(sample(max_prompt_tokens=most)) == 12


def test_a_long_prompt_is_refused_though_it_was_drawn_if_others_are_missing(sample, drawn, mini_base, monkeypatch):
    count = longest_count([("flux", mini_base)])
    most = max(count(arm_prompt(arm, text, director())) for arm in ARMS for text in PROMPTS) - 1
    with monkeypatch.context() as patch:
        patch.setattr("director_diffusion.sampling.draw.longest_count", lambda bases: lambda text: 1)
        rows = sample(max_prompt_tokens=most)
    drawn.clear()
    assert sample(max_prompt_tokens=most) == rows, "nothing is missing, so nothing is counted"
    with pytest.raises(EvaluationError, match="cut off"):
        sample(max_prompt_tokens=most, adapter_version="another")
    assert drawn == []


def test_guidance_is_the_bases_own_unless_the_plan_says_otherwise():
    assert plan_sampler(plan(), BASE).guidance == 2.0
    assert plan_sampler(plan(guidance=5.0), BASE).guidance == 5.0


def test_grid_has_a_row_per_prompt_and_a_column_per_arm(sample, store):
    rows = sample()
    two, four = comparison_grid(rows, store, limit=2), comparison_grid(rows, store)
    assert two.width == four.width
    assert four.height > two.height
    assert comparison_grid(rows, store).tobytes() == four.tobytes()


def test_an_adapter_of_another_trigger_is_refused_before_anything_is_drawn(sample, drawn, make_adapter, tmp_path):
    weights = load_file(make_adapter())
    adapters = {name: tmp_path / f"{name}.safetensors" for name in ("other", "same")}
    save_file(weights, adapters["other"], {"trigger": "kubrick film"})
    save_file(weights, adapters["same"], {"trigger": director().trigger})
    with pytest.raises(
        EvaluationError, match="was trained with the trigger 'kubrick film', and Nolan's is 'nolan film'"
    ):
        sample(adapter=adapters["other"])
    assert drawn == []
    assert len(sample(adapter=adapters["same"])) == 3 * len(PROMPTS)


# --- folds -------------------------------------------------------------------------------------------------------


@pytest.fixture
def folds(make_adapter):
    """Adapters of two folds."""
    return {
        arm: ArmAdapter(make_adapter(seed=number), f"fold {number}") for number, arm in enumerate(FOLD_ARMS, start=5)
    }


def two_folds(**changes):
    return EvaluationPlan.model_validate({**plan(**changes).model_dump(), "folds": 2})


def test_two_folds_are_two_more_arms_from_the_same_noise_and_prompts(sample, folds, drawn, store):
    three = sample(plan(seeds=(0, 1)))
    drawn.clear()
    five = sample(two_folds(seeds=(0, 1)), folds=folds)
    assert five[: len(three)] == three
    assert len(drawn) == 2 * len(PROMPTS) * 2, "only the folds' own pictures"
    asked = [(row.full_prompt, row.seed) for row in three if row.arm == "adapter"]
    for arm in FOLD_ARMS:
        assert [(row.full_prompt, row.seed) for row in five if row.arm == arm] == asked
    assert len({row.sha256 for row in five}) == len(five), "each with its own weights"
    assert seeds_drawn(five, two_folds(seeds=(0, 1)), "draft") == (0, 1)
    assert seeds_drawn(five, two_folds(seeds=(0, 1), release_seeds=(2,)), "release") == (0, 1)
    assert comparison_grid(five, store).width > comparison_grid(three, store).width


@pytest.mark.parametrize("asked", [1, 2])
def test_arms_and_adapters_must_fit_each_other(sample, folds, asked):
    given = {} if asked == 2 else folds
    with pytest.raises(EvaluationError, match="plan p: asks for adapters of adapter"):
        sample(two_folds() if asked == 2 else plan(), folds=given)
