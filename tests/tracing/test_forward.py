"""From a still forward: what trained on it, what was only judged with it, what is live of that, and what is not."""

from pathlib import Path

import pytest

from director_diffusion.errors import StoreError
from director_diffusion.releases.change import promote
from director_diffusion.stills.learned import FILE as LEARNED_FILE
from director_diffusion.storage import Store
from director_diffusion.storage.ancestry import Ancestry
from director_diffusion.tracing.forward import PublishedUse, StillTrace, trace_still
from director_diffusion.training.rows import WEIGHTS
from tests.lineages import DIRECTOR, MORE, RECIPE, Lineage, picture, raw_sha256, still_id

AFTER = {
    f"mini_lora/{name}"
    for name in (
        "adapter", "samples", "evaluation", "release_samples", "release_evaluation", "model_card", "published_model"
    )
}  # fmt: skip
WITH_TABLES = {"stills", "written_captions", "captions", "mini/latents", "mini/prompt_embeddings"}


def traced(store: Store, given: str) -> StillTrace:
    return trace_still(given, Ancestry(store))


def test_a_still_that_was_trained_on_is_in_everything_after(store: Store, lineage: Lineage) -> None:
    one, two = lineage.publish(3), lineage.publish(6)
    promote(store, RECIPE, DIRECTOR, version=one.version, who="ann", why="w", date="2026-11-22")
    promote(store, RECIPE, DIRECTOR, version=two.version, who="ann", why="w", date="2026-11-23")
    trace = traced(store, still_id(1))
    assert {use.asset for use in trace.uses} == AFTER | WITH_TABLES
    assert {use.split for use in trace.uses} == {"train"}
    assert {use.adapter_version for use in trace.learned} == {one.version, two.version}
    assert [use.latest for use in trace.uses if use.asset == "mini_lora/adapter"].count(True) == 1
    assert [(release.adapter_version, release.live) for release in trace.releases] == [
        (one.version, False), (two.version, True)
    ]  # fmt: skip
    assert trace.files == ("cache/latents/f/1", "cache/prompts/f/1", "stills/nolan/film/1.jpg")
    (place,) = trace.places
    assert (place.director, place.film, place.file, place.split) == (DIRECTOR, "film", "1.jpg", "train")


@pytest.mark.parametrize(("number", "split"), [(3, "held_out"), (4, "validation")])
def test_what_was_only_judged_with_it_is_told_apart(store: Store, lineage: Lineage, number: int, split: str) -> None:
    lineage.publish(3)
    trace = traced(store, still_id(number))
    held_out = {"reference_set"} if split == "held_out" else set()
    assert {use.asset for use in trace.uses} == AFTER | WITH_TABLES | held_out
    assert {use.split for use in trace.uses} == {split}
    assert trace.learned == ()


@pytest.mark.parametrize("how", ["id", "hash", "start of the hash", "file"])
def test_a_still_goes_by_its_id_its_files_hash_or_the_file(
    store: Store, lineage: Lineage, tmp_path: Path, how: str
) -> None:
    lineage.publish(3)
    file = tmp_path / "anything.jpg"
    file.write_bytes(picture(2))
    given = {
        "id": still_id(2),
        "hash": raw_sha256(2).upper(),
        "start of the hash": raw_sha256(2)[:12],
        "file": str(file),
    }
    trace = traced(store, given[how])
    assert [place.still for place in trace.places] == [still_id(2)]
    assert len(trace.learned) == 1


def test_a_rejected_still_went_into_nothing_and_says_why(store: Store, lineage: Lineage) -> None:
    lineage.publish(3)
    trace = traced(store, raw_sha256(5))
    (place,) = trace.places
    assert (place.status, place.reason) == ("rejected", "too dark")
    assert {use.asset for use in trace.uses} == {"written_captions"}
    assert trace.files == ("stills/nolan/film/5.jpg",)


def test_where_it_was_published_is_told_with_repository_commit_and_state(store: Store, lineage: Lineage) -> None:
    out, withheld = lineage.publish(3), lineage.publish(6, outcome="fail", status="withheld")
    more = lineage.publish(9, began_with=out)
    found = {one.key: one for one in traced(store, still_id(1)).publications}
    assert found == {
        each.publication.manifest.key: PublishedUse(
            director=DIRECTOR,
            recipe=recipe,
            key=each.publication.manifest.key,
            status=status,
            repo_id=f"studio/{DIRECTOR}-{recipe}",
            commit=each.commit if status == "published" else "",
            latest=latest,
        )
        for each, recipe, status, latest in (
            (out, RECIPE, "published", False),
            (withheld, RECIPE, "withheld", True),
            (more, MORE, "published", True),
        )
    }
    store.delete(f"{more.publication.folder}/publication.json")
    lost = next(one for one in traced(store, still_id(1)).publications if one.recipe == MORE)
    assert (lost.status, lost.commit, lost.latest) == ("", "", False)


@pytest.mark.parametrize("by", [still_id(1), raw_sha256(1)], ids=["id", "hash"])
def test_what_was_written_and_seen_of_it_is_among_the_files(store: Store, lineage: Lineage, by: str) -> None:
    words = {f"cache/captions/{asking}/{still_id(1)}.0123.json" for asking in ("a", "b")}
    words |= {"stills/nolan/film/1.TXT", f"cache/embeddings/clip/{still_id(1)}.safetensors"}
    others = {f"cache/captions/a/{still_id(2)}.0123.json", "stills/nolan/film/2.txt", "stills/nolan/film/11.txt"}
    words |= {"stills/nolan/film/1.jpg.decision.yaml"}
    others |= {"stills/nolan/film/11.jpg.decision.yaml", f"cache/embeddings/clip/{still_id(2)}.safetensors"}
    for name in words | others:
        store.write(name, b"words")
    files = set(traced(store, by).files)
    assert words <= files
    assert not others & files
    written = next(use for use in traced(store, by).uses if use.asset == "written_captions")
    assert (written.split, written.latest) == ("train", True)


def test_an_adapter_that_began_with_one_that_learned_from_it_is_among_those_that_learned(
    store: Store, lineage: Lineage
) -> None:
    first = lineage.publish(3)
    lineage.make(
        ("mini_more", "adapter"), {f"{RECIPE}/adapter": first.adapter}, files={WEIGHTS: b"another adapter's weights"}
    )
    assert {use.asset for use in traced(store, still_id(0)).learned} == {"mini_lora/adapter", "mini_more/adapter"}


def test_what_came_of_an_adapter_that_began_with_one_that_learned_from_it_depends_on_it_too(
    store: Store, lineage: Lineage
) -> None:
    first = lineage.publish(3)
    lineage.reject(0)
    child = lineage.publish(6, began_with=first)
    uses = {use.asset: use.key for use in traced(store, still_id(0)).uses if use.asset.startswith(f"{MORE}/")}
    assert uses[f"{MORE}/published_model"] == child.publication.manifest.key
    assert {name.removeprefix(f"{MORE}/") for name in uses} == {name.removeprefix(f"{RECIPE}/") for name in AFTER}


def test_what_never_learned_from_it_does_not_depend_on_it(store: Store, lineage: Lineage) -> None:
    """Though both looked at what was published before, and found the same: nothing."""
    first = lineage.publish(3, outcome="fail", status="withheld")
    lineage.reject(0)
    lineage.publish(6)
    uses = traced(store, still_id(0)).uses
    assert {use.key for use in uses if use.asset == "mini_lora/published_model"} == {first.publication.manifest.key}
    for name in ("adapter", "samples", "evaluation", "release_samples", "release_evaluation", "model_card"):
        assert [use.asset for use in uses].count(f"{RECIPE}/{name}") == 1


def test_only_a_held_out_still_has_a_say_in_other_directors_verdicts(store: Store, lineage: Lineage) -> None:
    lineage.publish(3)
    other = Lineage(store, "fincher", brought=False).publish(3)
    held_out = traced(store, still_id(3))
    theirs = {use.asset: use for use in held_out.uses if use.director == "fincher"}
    assert theirs.keys() == {
        "mini_lora/evaluation", "mini_lora/release_samples", "mini_lora/release_evaluation", "mini_lora/model_card",
        "mini_lora/published_model",
    }  # fmt: skip
    assert theirs["mini_lora/release_evaluation"].key == other.evaluation.manifest.key
    assert {use.split for use in theirs.values()} == {"held_out"}
    for number in (0, 4):
        assert {use.director for use in traced(store, still_id(number)).uses} == {"nolan"}


def test_a_still_of_two_directors_is_found_with_both(store: Store, lineage: Lineage) -> None:
    lineage.publish(3)
    Lineage(store, "fincher").publish(3)
    trace = traced(store, raw_sha256(0))
    assert {place.director for place in trace.places} == {"nolan", "fincher"}
    assert {use.director for use in trace.learned} == {"nolan", "fincher"}


@pytest.mark.parametrize("given", ["f" * 64, "0" * 16, "", "a.jpg", raw_sha256(0)[:6]])
def test_an_unknown_still_is_refused(store: Store, lineage: Lineage, given: str) -> None:
    with pytest.raises(StoreError, match="is no still that"):
        traced(store, given)


def test_an_empty_store_knows_no_still(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is no still that"):
        traced(Store(str(tmp_path / "none")), "0" * 16)


def test_adapters_of_folds_learned_what_they_say_and_the_released_one_all(store: Store, lineage: Lineage) -> None:
    adapters = lineage.fold_adapters()
    samples = {f"{RECIPE}/{name}": each for name, each in adapters.items()}
    lineage.make((RECIPE, "samples"), samples, json_files={"of.json": 1})
    after = {f"{RECIPE}/{name}" for name in adapters}
    of_first = {use.asset: use.split for use in traced(store, still_id(3)).uses}
    assert {of_first[f"{RECIPE}/{name}"] for name in ("adapter", "second_fold_adapter", "samples")} == {"train"}
    assert of_first[f"{RECIPE}/first_fold_adapter"] == "held_out"
    assert of_first["mini/latents"] == "held_out", "the stills' own split"
    assert {use.asset for use in traced(store, still_id(3)).learned} == after - {f"{RECIPE}/first_fold_adapter"}
    of_second = traced(store, still_id(0))
    assert {use.asset for use in of_second.learned} == after - {f"{RECIPE}/second_fold_adapter"}
    assert {use.asset for use in traced(store, still_id(1)).learned} == after
    assert len({use.adapter_version for use in traced(store, still_id(1)).learned}) == 3


def test_an_adapter_learned_what_the_one_that_it_began_with_did(store: Store, lineage: Lineage) -> None:
    adapters = lineage.fold_adapters()
    for name, still in (("first_fold_adapter", 0), ("second_fold_adapter", 3)):
        lineage.make(
            ("mini_more", name),
            {f"{RECIPE}/{name}": adapters[name], "mini/latents": lineage.dataset["mini/latents"]},
            json_files={LEARNED_FILE: {"adapter": {still_id(still): "train"}}},
            files={WEIGHTS: name.encode()},
        )
    for still, split in ((0, ["train", "held_out"]), (3, ["held_out", "train"])):
        uses = {use.asset: use.split for use in traced(store, still_id(still)).uses}
        assert [uses["mini_more/first_fold_adapter"], uses["mini_more/second_fold_adapter"]] == split
