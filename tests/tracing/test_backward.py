"""From an adapter back: by its file, by exports, by its repository; and what is said where the store lacks much."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from director_diffusion.errors import ModelError, PublishError
from director_diffusion.hashing import hash_bytes, hash_file
from director_diffusion.publishing.sign_offs import SignOff, add_sign_off
from director_diffusion.releases.change import promote
from director_diffusion.releases.header import with_metadata
from director_diffusion.storage import Store
from director_diffusion.storage.ancestry import Ancestry
from director_diffusion.tracing.backward import trace_back
from director_diffusion.tracing.given import given_file, given_repository
from director_diffusion.tracing.known import Trace
from director_diffusion.training.rows import WEIGHTS
from tests.lineages import DIRECTOR, RECIPE, Lineage, header, raw_sha256, still_id, tiny_weights


def of_file(store: Store, path: Path) -> Trace:
    return trace_back(given_file(path), Ancestry(store))


def copied(data: bytes, path: Path) -> Path:
    path.write_bytes(data)
    return path


def test_a_trained_file_leads_to_all_that_made_it(store: Store, lineage: Lineage, tmp_path: Path) -> None:
    lineage.publish(3)
    second = lineage.publish(6, outcome="undecided")
    add_sign_off(store, RECIPE, DIRECTOR, SignOff("signed off", second.version, "ann", "fine", "2026"))
    promote(store, RECIPE, DIRECTOR, version=None, who="bob", why="try", date="2026")
    trace = of_file(store, copied(second.adapter.read(WEIGHTS), tmp_path / "renamed.safetensors"))
    assert (trace.adapter_version, trace.director, trace.recipe) == (second.version, DIRECTOR, RECIPE)
    assert (trace.training, trace.step, trace.seed, trace.trigger) == ("0123456789abcdef", "6", "0", "nolan style")
    assert trace.base == {"model": "director-diffusion/mini", "revision": "0123", "content": "org/base@0123"}
    assert trace.recipe_spec["steps"] == 6
    assert trace.packages == {"torch": "2.15.0"}
    assert {stage.asset for stage in trace.stages} == {
        "raw_stills", "written_captions", "director", "stills", "captions", "mini/latents", "mini/prompt_embeddings",
        "mini_lora/pick", "mini_lora/adapter",
    }  # fmt: skip
    assert [(still.still, still.split) for still in trace.stills] == [
        *((still_id(n), "train") for n in (0, 1, 2)), (still_id(3), "held_out"), (still_id(4), "validation")
    ]  # fmt: skip
    first = trace.stills[0]
    assert (first.sha256, first.film, first.file) == (raw_sha256(0), "film", "0.jpg")
    assert (first.caption, first.caption_by) == ("a house 0", "person")
    judged = {judgement.asset: (judgement.outcome, judgement.effects[0]["mean"]) for judgement in trace.judgements}
    assert judged == {"mini_lora/evaluation": ("undecided", 6.0), "mini_lora/release_evaluation": ("undecided", 6.0)}
    assert [entry.who for entry in trace.sign_offs] == ["ann"]
    assert [told["commit"] for told in trace.publications] == [second.commit]
    assert ([entry.who for entry in trace.releases], trace.live) == (["bob"], True)
    assert trace.lacking == ()


def test_an_earlier_version_tells_its_own_story(store: Store, lineage: Lineage, tmp_path: Path) -> None:
    first = lineage.publish(3)
    lineage.publish(6, outcome="fail", status="withheld")
    promote(store, RECIPE, DIRECTOR, version=first.version, who="bob", why="try", date="2026")
    trace = of_file(store, copied(first.adapter.read(WEIGHTS), tmp_path / "a.safetensors"))
    assert [judgement.outcome for judgement in trace.judgements] == ["pass", "undecided"], "the release's, the draft's"
    assert trace.step == "3"
    assert [told["status"] for told in trace.publications] == ["published"]


@pytest.mark.parametrize("by", ["adapter_sha256", "training"])
def test_an_export_leads_back_by_its_header(store: Store, lineage: Lineage, tmp_path: Path, by: str) -> None:
    """By the hash that exports tell; of one from before they did, by training, step and strength."""
    for step in (3, 6):
        published = lineage.publish(step)
    plain, export = tmp_path / "plain", tmp_path / "export.safetensors"
    save_file({"lora_unet_x.lora_down.weight": np.ones(3, np.float32)}, plain)
    told = {"adapter_sha256": published.version} if by == "adapter_sha256" else {}
    with_metadata(plain, export, {**header(6), **told, "layout": "kohya"})
    trace = of_file(store, export)
    assert trace.adapter_version == published.version
    assert trace.sha256 == hash_file(export) != published.version
    assert len(trace.stills) == 5


def test_a_repository_leads_back_and_says_much_by_itself(store: Store, lineage: Lineage, tmp_path: Path) -> None:
    signed = SignOff("signed off", "0" * 64, "ann", "better light", "2026-11-22")
    published = lineage.publish(3, sign_off=signed)
    repo = published.card.local_folder / "repo"
    trace = trace_back(given_repository(repo, "studio/nolan"), Ancestry(store))
    assert (trace.given, trace.adapter_version) == ("studio/nolan", published.version)
    assert trace.lacking == ()
    alone = trace_back(given_repository(repo, "studio/nolan"), Ancestry(Store(str(tmp_path / "empty"))))
    assert (alone.adapter_version, alone.director, alone.training) == (published.version, DIRECTOR, trace.training)
    assert alone.base == trace.base
    assert [judgement.outcome for judgement in alone.judgements] == ["pass"]
    by_hash, by_store = ({(still.sha256, still.still, still.split) for still in one.stills} for one in (alone, trace))
    assert by_hash == by_store
    assert {still.caption_sha256 for still in alone.stills} == {hash_bytes(b"a house")}
    assert [(stage.asset, stage.code_version) for stage in alone.stages] == [("mini_lora/adapter", "3")]
    assert alone.sign_offs == (signed,)
    assert any("has no artifact of this adapter" in said for said in alone.lacking)
    assert sum("that it learned from no more" in said or "learned from" in said for said in alone.lacking) == 2


@pytest.mark.parametrize("known", [True, False], ids=["its own store", "no store"])
def test_altered_weights_in_a_repository_are_not_taken_for_its_adapter(
    store: Store, lineage: Lineage, tmp_path: Path, known: bool
) -> None:
    published = lineage.publish(3)
    repo = shutil.copytree(published.card.local_folder / "repo", tmp_path / "repo")
    (repo / WEIGHTS).write_bytes(tiny_weights(4))
    where = store if known else Store(str(tmp_path / "empty"))
    said = [
        sentence
        for sentence in trace_back(given_repository(repo, "studio/nolan"), Ancestry(where)).lacking
        if sentence.startswith("The weights are not those that provenance.json tells of")
    ]
    assert len(said) == 1
    assert hash_file(repo / WEIGHTS) in said[0]
    assert published.version in said[0]


def test_a_repository_of_an_export_holds_the_weights_that_it_tells_of(
    store: Store, lineage: Lineage, tmp_path: Path
) -> None:
    published = lineage.publish(3)
    repo = shutil.copytree(published.card.local_folder / "repo", tmp_path / "repo")
    with_metadata(published.adapter.path(WEIGHTS), repo / WEIGHTS, {"adapter_sha256": published.version})
    assert trace_back(given_repository(repo, "studio/nolan"), Ancestry(store)).lacking == ()


def test_a_repository_finds_its_stills_where_the_adapter_itself_is_gone(store: Store, lineage: Lineage) -> None:
    published = lineage.publish(3)
    given = given_repository(published.card.local_folder / "repo", "studio/nolan")
    store.delete(published.adapter.folder)
    trace = trace_back(given, Ancestry(store))
    assert {still.split for still in trace.stills} == {"train", "held_out", "validation"}
    assert trace.stills[0].caption == "a house 0"


def test_what_the_store_lost_is_said_and_not_skipped(store: Store, lineage: Lineage, tmp_path: Path) -> None:
    published = lineage.publish(3)
    path = copied(published.adapter.read(WEIGHTS), tmp_path / "a.safetensors")
    store.delete(lineage.dataset["captions"].folder)
    trace = of_file(store, path)
    assert "The store has the captions that its prompt_embeddings came of no more." in trace.lacking
    assert len(trace.stills) == 5
    assert {still.caption for still in trace.stills} == {""}
    store.delete(f"{lineage.dataset['mini/latents'].folder}/latents.parquet")
    trace = of_file(store, path)
    assert any("has lost the table of assets/mini/latents" in said for said in trace.lacking)
    assert len(trace.stills) == 5, "as the stills' own table has them"
    for evaluation in (published.draft, published.evaluation):
        store.delete(f"{evaluation.folder}/verdict.json")
    assert sum("has lost verdict.json of" in said for said in of_file(store, path).lacking) == 2
    for tier in ("", "release_"):
        store.delete(f"assets/mini_lora/{tier}evaluation")
    assert "No verdict on it is known." in of_file(store, path).lacking


def test_tables_of_other_columns_are_read(store: Store, lineage: Lineage, tmp_path: Path) -> None:
    """As another version of this project wrote them."""
    published = lineage.publish(3)
    path = Path(store.full(f"{lineage.dataset['stills'].folder}/stills.parquet"))
    table = pq.read_table(path).drop_columns(["phash", "warnings"])
    pq.write_table(table.append_column("new", pa.array(["x"] * table.num_rows)), path)
    trace = of_file(store, copied(published.adapter.read(WEIGHTS), tmp_path / "a.safetensors"))
    assert trace.stills[0].sha256 == raw_sha256(0)


def test_an_adapter_that_began_with_another_says_so(store: Store, lineage: Lineage, tmp_path: Path) -> None:
    first = lineage.publish(3)
    more = lineage.make(
        ("mini_more", "adapter"),
        {f"{RECIPE}/adapter": first.adapter, "mini/latents": lineage.dataset["mini/latents"]},
        files={WEIGHTS: b"8 bytes of another adapter"},
        json_files={"training.json": {"training": "other", "chosen_step": 1, "strength": 1.0}},
    )
    plain, export = tmp_path / "plain", tmp_path / "export.safetensors"
    save_file({"x": np.ones(3, np.float32)}, plain)
    told = next(file.sha256 for file in more.manifest.files if file.name == WEIGHTS)
    with_metadata(plain, export, {**header(1), "recipe": "mini_more", "adapter_sha256": told})
    trace = of_file(store, export)
    assert (trace.recipe, trace.began_with) == ("mini_more", first.version)


@pytest.mark.parametrize("began", [False, True], ids=["the same recipe", "one that began with it"])
def test_a_withheld_adapter_has_no_other_ones_verdict_and_no_publication(
    store: Store, lineage: Lineage, tmp_path: Path, began: bool
) -> None:
    """Both looked at what was published before, and found the same: nothing."""
    withheld = lineage.publish(3, outcome="fail", status="withheld")
    other = lineage.publish(6, began_with=withheld if began else None)
    trace = of_file(store, copied(withheld.adapter.read(WEIGHTS), tmp_path / "a.safetensors"))
    judged = [(judgement.asset, judgement.outcome, judgement.effects[0]["mean"]) for judgement in trace.judgements]
    assert judged == [("mini_lora/release_evaluation", "fail", 3.0), ("mini_lora/evaluation", "undecided", 3.0)]
    assert [told["status"] for told in trace.publications] == ["withheld"]
    assert (trace.provenance or {})["adapter"]["sha256"] == withheld.version
    its = of_file(store, copied(other.adapter.read(WEIGHTS), tmp_path / "b.safetensors"))
    assert {judgement.effects[0]["mean"] for judgement in its.judgements} == {6.0}
    assert [told["commit"] for told in its.publications] == [other.commit]
    assert its.began_with == (withheld.version if began else "")


def test_what_nobody_knows_is_refused(store: Store, lineage: Lineage, tmp_path: Path) -> None:
    lineage.publish(3)
    foreign = tmp_path / "foreign.safetensors"
    save_file({"x": np.ones(3, np.float32)}, foreign, {"ss_network_module": "networks.lora"})
    with pytest.raises(PublishError, match="is no adapter that this project or the store"):
        of_file(store, foreign)
    with pytest.raises(ModelError, match="cannot be read as an adapter"):
        of_file(store, copied(b"text", tmp_path / "text"))
    with pytest.raises(PublishError, match="holds no adapter"):
        given_repository(tmp_path, "some folder")
    (tmp_path / WEIGHTS).write_bytes(foreign.read_bytes())
    (tmp_path / "provenance.json").write_text("{")
    with pytest.raises(PublishError, match=r"provenance\.json: cannot be read"):
        given_repository(tmp_path, "some folder")


def test_a_trace_is_plain_data(store: Store, lineage: Lineage, tmp_path: Path) -> None:
    from dataclasses import asdict

    published = lineage.publish(3)
    trace = of_file(store, copied(published.adapter.read(WEIGHTS), tmp_path / "a.safetensors"))
    assert json.loads(json.dumps(asdict(trace)))["provenance"]["adapter"]["sha256"] == published.version


@pytest.mark.parametrize(
    ("name", "held_out"), [("first_fold_adapter", {3}), ("second_fold_adapter", {0}), ("adapter", set())]
)
def test_what_an_adapter_of_folds_learned_is_its_own_word(
    store: Store, lineage: Lineage, tmp_path: Path, name: str, held_out: set[int]
) -> None:
    adapters = lineage.fold_adapters()
    trace = of_file(store, copied(adapters[name].read(WEIGHTS), tmp_path / "a.safetensors"))
    splits = {still.still: still.split for still in trace.stills}
    assert {number for number in range(5) if splits[still_id(number)] == "held_out"} == held_out
    stages = {stage.asset for stage in trace.stages} & {f"{RECIPE}/{each}" for each in adapters}
    assert stages == ({f"{RECIPE}/{each}" for each in adapters} if name == "adapter" else {f"{RECIPE}/{name}"})
    assert trace.began_with == ""


def test_a_folds_adapter_is_not_what_went_out(store: Store, lineage: Lineage, tmp_path: Path) -> None:
    adapters = lineage.fold_adapters()
    card = lineage.make(
        (RECIPE, "model_card"),
        {f"{RECIPE}/adapter": adapters["adapter"]},
        json_files={"repo/provenance.json": {"a": 1}},
    )
    lineage.make((RECIPE, "published_model"), {f"{RECIPE}/model_card": card}, json_files={"publication.json": {"b": 1}})
    samples = lineage.make((RECIPE, "samples"), {f"{RECIPE}/{name}": each for name, each in adapters.items()})
    lineage.make(
        (RECIPE, "evaluation"),
        {f"{RECIPE}/samples": samples},
        json_files={"verdict.json": {"outcome": "pass", "reasons": []}, "effects.json": {}},
    )
    released, fold = (
        of_file(store, copied(adapters[name].read(WEIGHTS), tmp_path / name))
        for name in ("adapter", "first_fold_adapter")
    )
    assert (len(released.publications), released.provenance) == (1, {"a": 1})
    assert (fold.publications, fold.provenance) == ((), None)
    assert [judgement.outcome for judgement in fold.judgements] == ["pass"], "its recipe is judged by it"


def test_without_the_adapter_its_card_says_what_it_learned(store: Store, lineage: Lineage, tmp_path: Path) -> None:
    published = lineage.publish(3)
    inputs = {name: each.version for name, each in lineage.dataset.items()}
    hashes = [{"still": still_id(n), "sha256": raw_sha256(n), "split": "train", "caption": ""} for n in range(5)]
    (tmp_path / WEIGHTS).write_bytes(published.adapter.read(WEIGHTS))
    (tmp_path / "provenance.json").write_text(json.dumps({"inputs": inputs, "data": {"hashes": hashes}}))
    shutil.rmtree(store.full(published.adapter.folder))
    trace = trace_back(given_repository(tmp_path, "a repository"), Ancestry(store))
    assert {still.split for still in trace.stills} == {"train"}
