"""The version published before: what is remembered of it, and how a new adapter is compared with it."""

import json
from dataclasses import asdict, replace

import pytest

from director_diffusion.errors import StoreError
from director_diffusion.evaluation.checks import judge as checks_of
from director_diffusion.evaluation.earlier import Before
from director_diffusion.evaluation.published_before import (
    FILE,
    Entry,
    before_of,
    note_published,
    published_entries,
    write_published_before,
)
from director_diffusion.evaluation.types import EFFECTS_FILE
from director_diffusion.sampling.rows import FILE as SAMPLES_FILE
from director_diffusion.sampling.rows import Sample
from director_diffusion.stills.learned import FILE as LEARNED_FILE
from director_diffusion.stills.learned import write_learned
from director_diffusion.storage import Artifact
from director_diffusion.storage.artifact import Manifest, describe_files, write_artifact
from director_diffusion.tables import write_table
from tests.evaluation.bench import BLUE, DRAWING, GREEN, RED, Bench, outcomes, plan_of

PLAN = plan_of(prompts=10, seeds=(0,))
BASES = {"base": RED, "base_in_style": RED}


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    return Bench(tmp_path_factory.mktemp("bench"))


LEARNED = {"adapter": {"still-5": "train", "still-6": "train"}}


def before(bench, colour, plan=PLAN):
    """An earlier version's pictures, other than this adapter's, for the plan's prompts and noise."""
    return earlier(bench.draw(plan, arms=("adapter",), adapter=colour, salt=1))


def earlier(samples, learned=LEARNED):
    return Before("ab" * 32, DRAWING, tuple(samples), learned)


def published_questions(evaluation):
    return {name: outcome for name, outcome in outcomes(evaluation).items() if name.endswith("_published")}


# the comparison


def test_an_adapter_like_the_one_before_is_no_worse(bench):
    found = bench.judge(PLAN, bench.draw(PLAN, **BASES, adapter=BLUE), before=before(bench, BLUE))
    assert published_questions(found) == {"style_published": "pass", "prompt_published": "pass"}
    assert found.published == "ab" * 32
    effect = found.effect("clip", "published")
    assert (effect.n, effect.part) == (10, "all")
    assert effect.low <= 0 <= effect.high
    assert "the version published before" in found.verdict.reasons[-1]


def test_one_that_lost_the_style_is_refused_for_it(bench):
    found = bench.judge(PLAN, bench.draw(PLAN, **BASES, adapter=RED), before=before(bench, BLUE))
    assert published_questions(found)["style_published"] == "fail"
    assert found.effect("clip", "published").high < 0


def test_prompts_that_both_drew_from_the_same_noise_are_compared(bench):
    """Of ten, eight are left of the plan of that time; one seed was another then."""
    ten = before(bench, BLUE).samples
    eight = earlier(ten[:8])
    samples = bench.draw(PLAN, **BASES, adapter=BLUE)
    found = bench.judge(PLAN, samples, before=eight)
    assert found.effect("clip", "published").n == 8
    assert found.effect("clip", "base").n == 10
    value = found.effect("clip", "published").mean
    other = earlier((*ten[:8], *bench.draw(plan_of(prompts=10, seeds=(5,)), arms=("adapter",), adapter=GREEN)))
    assert bench.judge(PLAN, samples, before=other).effect("clip", "published").mean == value, (
        "other noise is not looked at"
    )


def test_too_few_common_prompts_are_said_and_nothing_is_claimed(bench):
    seven = earlier(before(bench, BLUE).samples[:7])
    found = bench.judge(PLAN, bench.draw(PLAN, **BASES, adapter=RED), before=seven)
    assert published_questions(found) == {}
    assert found.published == ""
    assert "Version abababab, published before, cannot be compared with" in found.lacking["no_regression"]
    assert found.verdict.outcome != "pass"
    with pytest.raises(StopIteration):
        found.effect("clip", "published")


def test_where_one_drew_more_seeds_the_common_ones_are_compared(bench):
    two = plan_of(prompts=10, seeds=(0, 1))
    samples = bench.draw(two, **BASES, adapter=BLUE)
    found = bench.judge(two, samples, before=before(bench, BLUE))
    assert (found.effect("clip", "published").n, found.effect("clip", "published").seeds) == (10, 1)
    assert found.effect("clip", "base").seeds == 2
    found = bench.judge(PLAN, bench.draw(PLAN, **BASES, adapter=BLUE), before=before(bench, BLUE, two))
    assert found.effect("clip", "published").n == 10


def test_stills_that_the_version_before_has_learned_compare_no_style(bench):
    """It would be told nearer to them for having seen them."""
    samples, pictures = bench.draw(PLAN, **BASES, adapter=RED), before(bench, BLUE).samples
    held_out = [still.still for still in bench.stills.held_out]
    found = bench.judge(PLAN, samples, before=earlier(pictures, {"adapter": dict.fromkeys(held_out[:2], "train")}))
    assert set(published_questions(found)) == {"prompt_published"}
    assert [note for note in found.notes if "has learned stills that are held out now" in note]
    found = bench.judge(PLAN, samples, before=earlier(pictures, {"adapter": dict.fromkeys(held_out[:1], "validation")}))
    assert published_questions(found)["style_published"] == "fail"
    assert [note for note in found.notes if "has learned 1 of the 3 stills" in note]


def test_what_was_drawn_otherwise_is_not_compared(bench):
    """Another sampler's effect must not be taken for the adapter's."""
    otherwise = replace(before(bench, BLUE), drawing="with other steps")
    found = bench.judge(PLAN, bench.draw(PLAN, **BASES, adapter=RED), before=otherwise)
    assert published_questions(found) == {}
    assert "drawn otherwise" in found.lacking["no_regression"]


def test_what_cannot_be_compared_lets_nothing_pass(bench):
    """Whatever else holds: a version is published already, and nobody knows whether this one is worse."""
    samples = bench.draw(PLAN, **BASES, adapter=BLUE)
    assert bench.judge(PLAN, samples, before=before(bench, BLUE)).verdict.outcome == "pass"
    found = bench.judge(PLAN, samples, before=replace(before(bench, BLUE), drawing="by another torch"))
    assert {one.outcome for one in found.findings} == {"pass"}
    assert found.verdict.outcome == "undecided"
    assert found.verdict.reasons[-1] == f"undecided: {found.lacking['no_regression']}"
    check = next(one for one in checks_of(found) if one.name == "no_regression")
    assert not check.passed
    assert "signs it off" in check.description


def test_after_a_drift_nothing_is_compared_with_what_was_drawn_before(bench):
    samples = bench.draw(PLAN, **BASES, adapter=RED)
    found = bench.judge(PLAN, samples, before=before(bench, BLUE), drift="4 of 4 pictures changed")
    assert published_questions(found) == {}
    assert "drawn otherwise" in found.lacking["no_regression"]
    assert "4 of 4 pictures changed" in found.notes


# the note


def entry(version, evaluation="assets/mini_lora/release_evaluation/nolan/k1"):
    return Entry(version * 64, "director-diffusion/nolan", "c" * 40, evaluation)


def test_versions_are_remembered_in_order_each_once(bench):
    def versions():
        return [one.adapter_version[0] for one in published_entries(bench.store, "order", "nolan")]

    assert versions() == []
    for version in "aab":
        note_published(bench.store, "order", "nolan", entry(version))
    assert versions() == ["a", "b"]
    note_published(bench.store, "order", "nolan", entry("a"))
    assert versions() == ["b", "a"], "published again, it is the newest"
    assert published_entries(bench.store, "order", "fincher") == []
    again = entry("a", evaluation="by another plan")
    note_published(bench.store, "order", "nolan", again)
    assert published_entries(bench.store, "order", "nolan")[-1] == again, "compared with by what was drawn last"


@pytest.mark.parametrize("text", [b"[", b'[{"adapter_version": "a"}]', b"[1]"])
def test_a_damaged_note_is_named(bench, text):
    bench.store.write("published/damaged/nolan.json", text)
    with pytest.raises(StoreError, match=r"published/damaged/nolan\.json: holds no published versions"):
        published_entries(bench.store, "damaged", "nolan")


def test_the_newest_other_version_is_taken_with_its_adapters_pictures(bench, tmp_path):
    samples = bench.draw(PLAN, **BASES, adapter=BLUE)
    write_table(tmp_path / SAMPLES_FILE, Sample, samples)
    write_learned(tmp_path, LEARNED)
    for key in ("k1", "k2"):
        bench.store.write(f"evaluations/{key}/{EFFECTS_FILE}", json.dumps({"drawing": f"as {key}"}).encode())
        bench.store.put(tmp_path / SAMPLES_FILE, f"evaluations/{key}/{SAMPLES_FILE}")
        bench.store.put(tmp_path / LEARNED_FILE, f"evaluations/{key}/{LEARNED_FILE}")
    for version, key in (("a", "k1"), ("b", "k2"), ("c", "gone")):
        note_published(bench.store, "r", "nolan", entry(version, f"evaluations/{key}"))

    def newest_but(version):
        out = tmp_path / version
        out.mkdir()
        found, pictures = write_published_before(bench.store, "r", "nolan", version * 64, out)
        assert set(pictures) <= {sample.reference for sample in samples}
        return (found.adapter_version[0] if found else None), out

    gone, out = newest_but("x")
    assert gone == "c"
    nothing = before_of(artifact_of(bench.store, out))
    assert nothing == Before("c" * 64, "", (), {})
    found = bench.judge(PLAN, bench.draw(PLAN, **BASES, adapter=RED), before=nothing)
    assert "cannot be compared with: its evaluation is gone" in found.lacking["no_regression"]
    entries = published_entries(bench.store, "r", "nolan")
    bench.store.write("published/r/nolan.json", json.dumps([asdict(one) for one in entries[:2]]).encode())
    assert newest_but("b")[0] == "a", "a version is not compared with itself"
    _, out = newest_but("d")
    assert {path.name for path in out.iterdir()} == {FILE, SAMPLES_FILE, LEARNED_FILE}
    kept = before_of(artifact_of(bench.store, out))
    assert kept == Before("b" * 64, "as k2", tuple(one for one in samples if one.arm == "adapter"), LEARNED)


def test_without_an_earlier_version_there_is_nothing_before(bench, tmp_path):
    note_published(bench.store, "first", "nolan", entry("a"))
    assert write_published_before(bench.store, "first", "nolan", "a" * 64, tmp_path) == (None, [])
    assert json.loads((tmp_path / FILE).read_text()) is None
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    assert before_of(artifact_of(bench.store, tmp_path)) is None


def artifact_of(store, folder) -> Artifact:
    key = f"key-{folder.name}"
    manifest = Manifest(
        asset=("r", "published_before"),
        partition="nolan",
        key=key,
        plain_key=key,
        version="v",
        files=describe_files(folder),
        code_version="1",
        seconds=0,
    )
    return write_artifact(store, folder, manifest)
