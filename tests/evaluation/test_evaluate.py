"""evaluate: from samples and stills to files, seen by the shipped open_clip model and timm encoder."""

import dataclasses
import json
from collections import Counter
from datetime import UTC, datetime

import pytest

from director_diffusion.errors import EvaluationError
from director_diffusion.evaluation import folds as module
from director_diffusion.evaluation.encoders.embedder import ClipEmbedder
from director_diffusion.evaluation.encoders.image_encoder import TimmEncoder
from director_diffusion.evaluation.encoders.look import LookEncoder
from director_diffusion.evaluation.facts import facts_of
from director_diffusion.evaluation.pairs import pairs_grid
from director_diffusion.evaluation.plots import confusion_plot, effects_plot, history_plot
from director_diffusion.evaluation.references import FILE, rivals_of, write_reference
from director_diffusion.evaluation.types import Evaluation, Pair, effects_from, verdict_from
from director_diffusion.progress import Silent
from director_diffusion.sampling.rows import Sample
from director_diffusion.stills.still_set import StillSet
from director_diffusion.tables import read_table
from tests.evaluation.bench import BLUE, GREEN, RED, SPLITS, Bench, Models, known, outcomes, plan_of

PLAN = plan_of()
PICTURES, STILLS, PROMPTS = 3 * 8 * 2, SPLITS.count("held_out") + SPLITS.count("train"), 8
GOOD = {"base": RED, "base_in_style": RED, "adapter": BLUE}


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """Shared, so that pictures which several tests judge are embedded once."""
    return Bench(tmp_path_factory.mktemp("bench"))


@pytest.fixture
def new(tmp_path):
    """One of a test's own, to count on and to damage."""
    return Bench(tmp_path)


@pytest.fixture
def embedded(monkeypatch):
    """How many pictures each encoder saw, and how many texts were read."""
    counts = Counter()

    def counted(cls, method):
        original = getattr(cls, method)

        def replacement(self, some):
            counts[f"{cls.__name__}.{method}"] += len(some)
            return original(self, some)

        monkeypatch.setattr(cls, method, replacement)

    for cls in (ClipEmbedder, TimmEncoder, LookEncoder):
        counted(cls, "images")
    counted(ClipEmbedder, "texts")
    return counts


def seen(images, texts=PROMPTS):
    """The counts of `embedded` where every encoder saw as many."""
    pictures = {f"{cls.__name__}.images": images for cls in (ClipEmbedder, TimmEncoder, LookEncoder)}
    return {**pictures, "ClipEmbedder.texts": texts}


# the verdict


def test_an_adapter_like_the_held_out_stills_passes(bench):
    found = bench.judge(PLAN, bench.draw(PLAN, **GOOD))
    assert found.verdict.outcome == "pass", found.verdict.reasons
    assert found.effect("clip", "base").low > 0.01
    assert found.effect("colour", "base").high < 0, "nearer in colour too"
    assert (found.tier, found.prompts, found.seeds, found.held_out) == ("draft", 8, (0, 1), 3)
    assert len(found.scores) == 7 * PICTURES, "seven metrics of each picture"
    assert {effect.part for effect in found.effects} == {"all", "own", "novel"}
    assert found.arms["adapter"].cmmd < found.arms["base"].cmmd


def test_closeness_to_training_stills_alone_counts_for_nothing(bench):
    found = bench.judge(PLAN, bench.draw(PLAN, base=BLUE, base_in_style=BLUE, adapter=RED))  # as training stills are
    assert found.verdict.outcome == "fail"
    assert found.effect("clip", "base").high < 0
    assert outcomes(found)["style_base"] == "fail"


def test_an_adapter_that_changes_nothing_never_passes(bench):
    found = bench.judge(PLAN, bench.draw(PLAN, base=BLUE, base_in_style=BLUE, adapter=BLUE))
    assert found.verdict.outcome != "pass"


def test_stills_that_chose_the_step_judge_nothing(bench):
    samples = bench.draw(PLAN, **GOOD)
    without = StillSet(
        [still for still in bench.stills.rows if still.split != "validation"], bench.store, bench.stills.folder
    )
    assert bench.judge(PLAN, samples, stills=without) == bench.judge(PLAN, samples)


def test_style_may_be_what_the_image_encoder_sees(bench):
    plan = plan_of(style_by="encoder", memorised_by="encoder")
    found = bench.judge(plan, bench.draw(plan, **GOOD))
    assert found.style == "encoder"
    assert "style closeness" in found.findings[0].reason
    assert found.findings[0].value == found.effect("encoder", "base").mean


# memorisation


def test_a_training_still_that_is_drawn_again_is_found_and_told(bench):
    copied = bench.stills.train[2]
    found = bench.judge(PLAN, bench.draw(PLAN, copied=[copied], **GOOD))
    assert found.memorisation.nearest == pytest.approx(1, abs=1e-5)
    assert found.memorisation.share == 1 / 16
    (memorised,) = (finding for finding in found.findings if finding.name == "memorised")
    assert memorised.value == 1 / 8, "of the prompts"
    pairs = read_table(bench.folder / "out" / "nearest_stills.parquet", Pair)
    assert len(pairs) == 16, "one for every picture of the adapter"
    first = pairs[0]
    assert (first.still, first.film, first.name, first.beyond) == (copied.still, "film", copied.name, True)
    assert first.prompt == "a house number 0"
    assert bench.store.exists(first.reference)
    assert [pair.beyond for pair in pairs[1:]] == [False] * 15
    similar = [pair.similarity for pair in pairs]
    assert similar == sorted(similar, reverse=True)


def test_an_adapter_that_draws_its_training_stills_alone_fails(bench):
    stills = bench.stills.train
    plan = plan_of(margins={"style": 0.0, "prompt": 0.5, "memorised": 0.4, "diversity": 0.01})
    found = bench.judge(plan, bench.draw(plan, copied=[stills[i % 5] for i in range(16)], **GOOD))
    assert outcomes(found)["memorised"] == "fail"
    assert found.verdict.outcome == "fail"


def test_pairs_are_shown_side_by_side_for_people_at_home(bench):
    found = bench.judge(PLAN, bench.draw(PLAN, copied=bench.stills.train[:1], **GOOD))
    six, two = (pairs_grid(pairs, bench.stills, bench.store) for pairs in (found.pairs, found.pairs[:2]))
    assert six.width == two.width
    assert six.height > 2 * two.height


# other directors


def test_an_adapter_nearer_to_another_director_does_not_pass(bench):
    samples = bench.draw(PLAN, **GOOD)
    blue = bench.mean_vector(PLAN, bench.stills.validation)
    own = bench.judge(PLAN, samples).confusion["adapter"]["nolan"]
    found = bench.judge(PLAN, samples, rivals={"fincher": 1.2 * blue, "anderson": -blue})
    assert found.confusion["adapter"]["nolan"] == own
    assert found.confusion["adapter"]["anderson"] < 0 < own < found.confusion["adapter"]["fincher"]
    told = outcomes(found)
    assert (told["nearer_than_anderson"], told["nearer_than_fincher"]) == ("pass", "fail")
    assert found.verdict.outcome == "fail"


def test_without_others_it_is_said_that_there_are_none(bench):
    found = bench.judge(PLAN, bench.draw(PLAN, **GOOD))
    assert list(found.confusion["adapter"]) == ["nolan"]
    assert [note for note in found.notes if "No other director" in note]


def test_a_reference_is_the_mean_of_what_the_plans_encoder_sees_of_held_out_stills(bench, tmp_path):
    assert write_reference(bench.stills, PLAN, bench.encoders(PLAN), tmp_path, Silent()) == 3
    data = json.loads((tmp_path / FILE).read_text())
    (rival,) = rivals_of("nolan", {"nolan": data, "fincher": data}, PLAN, bench.encoders(PLAN)).values()
    found = bench.judge(PLAN, bench.draw(PLAN, **GOOD), rivals={"fincher": rival})
    assert found.confusion["adapter"]["fincher"] == pytest.approx(found.confusion["adapter"]["nolan"], abs=2e-6)
    stale = {"fincher": {**data, "seen_by": "another encoder"}}
    assert rivals_of("nolan", stale, PLAN, bench.encoders(PLAN)) == {}, "whose vectors mean something else"
    none = StillSet(bench.stills.train, bench.store, bench.stills.folder)
    with pytest.raises(EvaluationError, match="no held-out stills"):
        write_reference(none, PLAN, bench.encoders(PLAN), tmp_path, Silent())


# tiers


def test_a_release_is_judged_by_its_further_seeds_too(bench):
    drawn, plan = plan_of(seeds=(0, 1, 2)), plan_of(seeds=(0,), release_seeds=(1, 2))
    found = bench.judge(plan, bench.draw(drawn, **GOOD), tier="release")
    assert (found.tier, found.seeds) == ("release", (0, 1, 2))
    assert found.effect("clip", "base").seeds == 3
    assert found.lacking == {}


def test_a_release_of_the_drafts_samples_alone_says_why(bench):
    plan = plan_of(seeds=(0,), release_seeds=(1, 2))
    found = bench.judge(plan, bench.draw(plan, base=BLUE, base_in_style=BLUE, adapter=RED), tier="release")
    assert (found.verdict.outcome, found.seeds) == ("fail", (0,))
    assert "the draft had failed" in found.lacking["verdict"]


def test_no_release_passes_by_the_drafts_samples_alone(bench):
    """As when margins were widened since the draft, and only what comes after it is materialized."""
    plan = plan_of(seeds=(0,), release_seeds=(1, 2))
    samples = bench.draw(plan, **GOOD)
    assert bench.judge(plan, samples).verdict.outcome == "pass"
    found = bench.judge(plan, samples, tier="release")
    assert {one.outcome for one in found.findings} == {"pass"}
    assert found.verdict.outcome == "undecided"
    assert "materialize release_samples again" in found.verdict.reasons[-1]


def test_samples_of_another_plan_are_refused(bench):
    samples = bench.draw(PLAN, **GOOD)
    for plan in (plan_of(seeds=(0, 2)), plan_of(prompts=9), plan_of(seeds=(0,))):
        with pytest.raises(EvaluationError, match="not those of plan"):
            bench.judge(plan, samples)
    with pytest.raises(EvaluationError, match="not those of plan"):
        bench.judge(PLAN, (*samples[:-1], samples[0]))


# files and the cache


def test_files_say_what_was_returned_in_equal_bytes(new):
    samples, out = new.draw(PLAN, **GOOD), new.folder / "out"
    found = new.judge(PLAN, samples)
    assert Evaluation.read(out) == found
    assert effects_from(json.loads((out / "effects.json").read_text())) == found.effects
    assert verdict_from(json.loads((out / "verdict.json").read_text())) == found.verdict
    assert tuple(read_table(out / "samples.parquet", Sample)) == samples
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    new.store.delete("cache/embeddings")
    new.judge(PLAN, samples)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == first


def test_nothing_is_embedded_twice_and_no_model_loaded_for_it(new, embedded):
    samples = new.draw(PLAN, **GOOD)
    first = new.judge(PLAN, samples)
    assert embedded == seen(PICTURES + STILLS)
    assert sorted(new.models.loaded) == ["models/mini/embedder", "models/mini/style_encoder"]
    new.models = Models(root=new.folder / "gone")
    assert new.judge(PLAN, samples) == first
    assert embedded == seen(PICTURES + STILLS)
    assert new.models.loaded == []


def test_only_new_pictures_are_embedded(new, embedded):
    new.judge(PLAN, new.draw(PLAN, **GOOD))
    new.judge(PLAN, new.draw(PLAN, **{**GOOD, "adapter": GREEN}))
    assert embedded == seen(PICTURES + STILLS + 16)


def test_a_new_metric_grades_old_samples_without_opening_a_picture(new, embedded, monkeypatch):
    samples = new.draw(PLAN, **GOOD)
    before = new.judge(PLAN, samples)
    new.store.delete("cache/images")
    for still in new.stills.rows:
        (new.stills.folder / still.file).unlink()
    picture_grids = module.picture_grids

    def with_one_more(arms, seen):
        brightest = {name: arm.grid(arm.rows(seen.look).max(axis=1)) for name, arm in arms.items()}
        return {**picture_grids(arms, seen), "brightest": brightest}

    monkeypatch.setattr(module, "picture_grids", with_one_more)
    after = new.judge(PLAN, samples)
    assert {score.metric for score in after.scores} - {score.metric for score in before.scores} == {"brightest"}
    assert after.effect("brightest", "base").n == 8
    assert embedded == seen(PICTURES + STILLS)


def test_a_fresh_label_or_another_model_embeds_everything_anew(new, embedded):
    samples = new.draw(PLAN, **GOOD)
    first = new.judge(PLAN, samples)
    assert new.judge(PLAN, samples, fresh="week 12") == first
    assert embedded == seen(2 * (PICTURES + STILLS), 2 * PROMPTS)
    new.models = Models(marks=", another")
    new.judge(PLAN, samples)
    looks = {"LookEncoder.images": 2 * (PICTURES + STILLS)}  # the same code counts colours
    assert embedded == {**seen(3 * (PICTURES + STILLS), 3 * PROMPTS), **looks}


@pytest.mark.parametrize("split", ["held_out", "train"])
def test_fewer_than_two_stills_to_judge_by_are_refused(bench, split):
    others = [still for still in bench.stills.rows if still.split != split]
    for count in (0, 1):
        rows = [*others, *getattr(bench.stills, split)[:count]]
        with pytest.raises(EvaluationError, match="2 of each are needed"):
            bench.judge(PLAN, bench.draw(PLAN, **GOOD), stills=StillSet(rows, bench.store, bench.stills.folder))


def test_a_damaged_sample_is_named(new):
    samples = new.draw(PLAN, **GOOD)
    new.store.write(samples[5].reference, new.store.read(samples[5].reference)[:60])
    with pytest.raises(EvaluationError, match="damaged") as caught:
        new.judge(PLAN, samples)
    assert samples[5].reference in str(caught.value)


def test_plots_show_findings_and_directors(bench):
    found = bench.judge(PLAN, bench.draw(PLAN, **GOOD))
    plot, other = effects_plot(found), effects_plot(dataclasses.replace(found, findings=()))
    assert plot.mode == "RGB"
    assert min(plot.size) > 400
    assert plot.size == other.size
    assert plot.tobytes() != other.tobytes(), "bounds and outcomes are shown"
    one, two = (confusion_plot("nolan", {"adapter": row}) for row in ({"nolan": 0.5}, {"nolan": 0.5, "fincher": 0.4}))
    assert one.width < two.width


def test_the_history_shows_every_evaluation_whose_effects_are_known(bench):
    told = facts_of(bench.judge(PLAN, bench.draw(PLAN, **GOOD)))
    days = [datetime(2026, 11, day, tzinfo=UTC) for day in (2, 9, 16)]
    one, two = (history_plot([(day, told) for day in days[:count]]) for count in (1, 2))
    assert one.size == two.size
    assert one.tobytes() != two.tobytes()
    unknown = history_plot([*((day, told) for day in days[:2]), (days[2], {"verdict": "pass"})])
    assert unknown.tobytes() == two.tobytes(), "one from before facts were told is left out"


def test_stills_that_the_adapter_has_learned_do_not_judge_it(bench):
    """They were split anew since: what was learned then is held out now."""
    samples = bench.draw(PLAN, **GOOD)
    for was in ("train", "validation"):
        with pytest.raises(EvaluationError, match=r"1 of 3 stills that are held out now are known.* film/0\.png"):
            bench.judge(PLAN, samples, learned={"adapter": {"still-0": was, "still-5": "train", "still-6": "train"}})


def test_copies_are_sought_of_what_was_learned_wherever_it_stands_now(bench):
    """Of still 8, though it chooses steps now; of one that is gone, that cannot be."""
    moved = [dataclasses.replace(still, split="validation") if still.still == "still-8" else still
             for still in bench.stills.rows]  # fmt: skip
    stills = StillSet(moved, bench.store, bench.stills.folder)
    learned = {"adapter": {**known(bench.stills.train), "gone": "train"}}
    found = bench.judge(PLAN, bench.draw(PLAN, copied=[moved[8]], **GOOD), stills=stills, learned=learned)
    assert found.pairs[0].still == "still-8"
    assert [note for note in found.notes if "1 of the stills that the adapter was trained on are gone" in note]
