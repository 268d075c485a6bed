"""Withdrawing a still: what goes of a store, what stays, and what a kill leaves for the next one to end."""

import os
import shutil
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from director_diffusion.errors import BusyError, StoreError
from director_diffusion.releases.change import promote
from director_diffusion.stills.raw import list_raw_files
from director_diffusion.stills.withdrawn import read_withdrawn, withdrawn_name
from director_diffusion.storage import Store
from director_diffusion.storage.lock import writer_lock
from director_diffusion.storage.read_cache import ReadCache
from director_diffusion.storage.store import Store as AnyStore
from director_diffusion.storage.work import work_folder
from director_diffusion.withdrawal.plan import Withdrawal, read_withdrawal
from director_diffusion.withdrawal.withdraw import Records, pending, plan_withdrawal, withdraw
from tests.lineages import BASE, DIRECTOR, RECIPE, Lineage, picture, raw_sha256, refer, still_id

NOTHING = Records(telling=lambda plan: [], forget=lambda plan: [], going_on=lambda director: [])


def bring(store: Store, director: str = DIRECTOR) -> None:
    """The files that the lineage's lists tell of, what lies beside one, and cached work on them."""
    for number in range(6):
        store.write(f"stills/{director}/film/{number}.jpg", picture(number))
        for kind in ("latents", "prompts"):
            store.write(f"cache/{kind}/f/{number}", b"work")
        store.write(f"cache/embeddings/f/{still_id(number)}.safetensors", b"seen")
        store.write(f"cache/captions/f/{still_id(number)}.0.json", b"a house")
    store.write(f"stills/{director}/film/1.txt", b"a house 1")
    store.write(f"stills/{director}/film/1.mask.png", b"mask")
    store.write(f"stills/{director}/film/1.jpg.decision.yaml", b"decision: keep\n")


def take(store: Store, *given: str, source: bool = False, moved_to: str = "") -> Withdrawal:
    return withdraw(store, DIRECTOR, given, NOTHING, who="ann", source=source, moved_to=moved_to)[-1]


TOPS = ("assets", "cache", "stills", "withdrawn", "releases", "work")


def everything(store: Store) -> set[str]:
    return {f"{top}/{name}" for top in TOPS for name in store.sizes(top)}


@pytest.mark.parametrize("given", ["film/1.jpg", "1.jpg", "stills/nolan/film/1.jpg", still_id(1), raw_sha256(1)[:12]])
def test_it_goes_by_its_name_its_id_or_its_hash(store: Store, lineage: Lineage, given: str) -> None:
    bring(store)
    plan = plan_withdrawal(store, DIRECTOR, [given], NOTHING, who="ann", source=False, moved_to="")
    (taken,) = plan.taken
    assert (taken.sha256, taken.names) == (raw_sha256(1), ("film/1.jpg",))
    assert still_id(1) in taken.stills
    assert read_withdrawal(plan.written()) == plan


def test_what_holds_it_goes_and_what_learned_it_is_told(store: Store, lineage: Lineage) -> None:
    bring(store)
    one = lineage.publish(3)
    promote(store, RECIPE, DIRECTOR, version=one.version, who="ann", why="w", date="2026-11-22")
    before = everything(store)
    went = take(store, "film/1.jpg")
    gone = before - everything(store)
    assets = {"/".join(name.split("/")[1:-3]) for name in gone if name.endswith("artifact.json")}
    assert assets == {
        "raw_stills", "stills", "written_captions", "captions", "mini/latents", "mini/prompt_embeddings",
        "reference_set", "mini_lora/evaluation", "mini_lora/release_evaluation",
    }  # fmt: skip
    assert {name for name in gone if name.startswith("cache/")} == {
        "cache/latents/f/1",
        "cache/prompts/f/1",
        f"cache/embeddings/f/{still_id(1)}.safetensors",
        f"cache/captions/f/{still_id(1)}.0.json",
    }
    assert not [name for name in gone if name.startswith("stills/")], "people's files stay unless they are asked for"
    assert [(use.asset, use.split, use.latest) for use in went.learners] == [("mini_lora/adapter", "train", True)]
    assert any("live since 2026-11-22" in words for words in went.published)
    assert any("published as studio/nolan-mini_lora" in words for words in went.published)
    assert one.adapter.folder.removeprefix("assets/") in {str(Path(name).parent) for name in store.sizes("assets")}


def test_the_same_bytes_are_rejected_from_then_on_under_any_name(store: Store, lineage: Lineage) -> None:
    bring(store)
    take(store, "film/1.jpg", source=True)
    assert sorted(store.names("stills/nolan/film")) == ["0.jpg", "2.jpg", "3.jpg", "4.jpg", "5.jpg"]
    store.write("stills/nolan/other/back.jpg", picture(1))
    rows = {row.file: row.problem for row in list_raw_files(store, DIRECTOR)}
    assert rows.pop("back.jpg").startswith("withdrawn: ")
    assert set(rows.values()) == {""}
    (entry,) = read_withdrawn(store, DIRECTOR).values()
    assert (entry.sha256, entry.who) == (raw_sha256(1), "ann")
    assert b"film" not in store.read(withdrawn_name(DIRECTOR)), "the record has the hash and no name"
    again = take(store, raw_sha256(1), source=True)
    assert again.source == ("stills/nolan/other/back.jpg",)
    assert not store.exists("stills/nolan/other/back.jpg")


def test_source_files_may_be_moved_out(store: Store, lineage: Lineage, tmp_path: Path) -> None:
    bring(store)
    take(store, "film/1.jpg", source=True, moved_to=str(tmp_path / "out"))
    out = tmp_path / "out" / DIRECTOR / "film"
    assert sorted(path.name for path in out.iterdir()) == ["1.jpg", "1.jpg.decision.yaml", "1.mask.png", "1.txt"]
    assert (out / "1.jpg").read_bytes() == picture(1)
    assert not store.exists("stills/nolan/film/1.jpg")


def test_what_another_director_needs_stays_and_is_told(store: Store) -> None:
    Lineage(store)
    fincher = Lineage(store, "fincher")
    bring(store)
    bring(store, "fincher")
    seen, caption = f"cache/embeddings/f/{still_id(1)}.safetensors", f"cache/captions/f/{still_id(1)}.0.json"
    refer(fincher.dataset[f"{BASE}/latents"], seen)
    went = take(store, "film/1.jpg")
    assert store.present([seen, caption]) == {seen}
    assert any("fincher has the same bytes" in note for note in went.notes)
    assert "assets/stills/fincher" not in " ".join(went.artifacts)
    assert read_withdrawn(store, "fincher") == {}


def test_what_of_this_director_refers_to_cached_work_keeps_only_what_others_share(store: Store) -> None:
    """An adapter stays, and what was cached of the still goes; a prompt that it has too may be another still's."""
    nolan = Lineage(store)
    adapter = nolan.publish(3).adapter
    bring(store)
    named_so = f"cache/embeddings/f/{still_id(1)}.safetensors"
    refer(adapter, named_so, "cache/prompts/f/1")
    went = take(store, "film/1.jpg")
    assert adapter.folder not in went.artifacts
    assert store.present([named_so, "cache/prompts/f/1", "cache/latents/f/1"]) == {"cache/prompts/f/1"}


def test_a_name_of_nothing_or_of_several_is_refused(store: Store, lineage: Lineage) -> None:
    bring(store)
    store.write("stills/nolan/zoo/1.jpg", b"another")
    with pytest.raises(StoreError, match=r"names several stills: film/1\.jpg, zoo/1\.jpg"):
        take(store, "1.jpg")
    with pytest.raises(StoreError, match="is no still that nolan has or had"):
        take(store, "film/99.jpg")
    assert pending(store, DIRECTOR) == []


def test_it_waits_for_nobody_who_writes(store: Store, lineage: Lineage) -> None:
    bring(store)
    before = everything(store)
    with writer_lock(store, "stills/nolan", "run 1234"), pytest.raises(BusyError, match="run 1234"):
        take(store, "film/1.jpg")
    assert everything(store) == before


def test_it_waits_for_no_run_that_may_tell_of_it_and_one_that_began_meanwhile_keeps_it_open(
    store: Store, lineage: Lineage
) -> None:
    bring(store)
    before, looks = everything(store), [["run 1"], [], ["run 2"], [], [], []]
    records = replace(NOTHING, going_on=lambda director: looks.pop(0))

    def go() -> None:
        withdraw(store, DIRECTOR, ["film/1.jpg"], records, who="ann", source=True, moved_to="")

    with pytest.raises(BusyError, match="run 1"):
        go()
    assert everything(store) == before
    with pytest.raises(BusyError, match="run 2"):
        go()
    assert not store.exists("stills/nolan/film/1.jpg")
    assert len(pending(store, DIRECTOR)) == 1
    go()
    assert (pending(store, DIRECTOR), looks) == ([], [])


def test_what_was_told_while_it_went_is_forgotten_too(store: Store, lineage: Lineage) -> None:
    bring(store)
    told, forgotten = ["before"], list[tuple[str, ...]]()
    pictures: list[str] = []

    def forget(plan: Withdrawal) -> list[str]:
        forgotten.append(plan.runs)
        if "before" in told:  # what a step does that had read a manifest
            told[:] = ["meanwhile"]
            pictures.append(f"{plan.artifacts[0]}/pictures/x.jpg")
            store.write(pictures[0], b"seen")
        return []

    records = replace(NOTHING, telling=lambda plan: list(told), forget=forget)
    withdraw(store, DIRECTOR, ["film/1.jpg"], records, who="ann", source=True, moved_to="")
    assert forgotten == [("before",), ("meanwhile",)]
    assert not store.exists(pictures[0])


class _KilledError(BaseException):
    """In place of SIGKILL: nothing between here and the test catches it."""


def test_whenever_it_is_killed_the_next_one_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def made(folder: str) -> Store:
        store = Store(str(tmp_path / folder))
        lineage = Lineage(store)
        bring(store)
        lineage.publish(3)
        return store

    whole = made("whole")
    take(whole, "film/1.jpg", source=True)
    wanted, real = everything(whole), AnyStore.delete
    for allowed in (0, 1, 5, 12, 20, 25):
        store, left = made(f"killed-{allowed}"), allowed

        def delete(self: Store, name: str) -> None:
            nonlocal left
            if left == 0:
                raise _KilledError
            left -= 1
            real(self, name)

        monkeypatch.setattr(AnyStore, "delete", delete)
        with pytest.raises(_KilledError):
            take(store, "film/1.jpg", source=True)
        monkeypatch.setattr(AnyStore, "delete", real)
        assert [one.taken[0].sha256 for one in pending(store, DIRECTOR)] == [raw_sha256(1)]
        assert raw_sha256(1) in read_withdrawn(store, DIRECTOR)
        withdraw(store, DIRECTOR, [raw_sha256(1)], NOTHING, who="bob", source=True, moved_to="")
        assert everything(store) == wanted, allowed
        assert pending(store, DIRECTOR) == []


@pytest.mark.parametrize("given", ["film/1.jpg", "1.jpg", still_id(1)[:12]])
def test_the_same_words_end_what_was_cut_off_though_nothing_knows_them_any_more(
    store: Store, lineage: Lineage, given: str
) -> None:
    bring(store)

    def busy(plan: Withdrawal) -> list[str]:
        raise StoreError("the records", "are locked", "Run it again.")

    with pytest.raises(StoreError, match="are locked"):
        withdraw(store, DIRECTOR, [given], replace(NOTHING, forget=busy), who="ann", source=True, moved_to="")
    begun = pending(store, DIRECTOR)
    shown = plan_withdrawal(store, DIRECTOR, [given], NOTHING, who="ann", source=True, moved_to="", begun=begun)
    assert [one.sha256 for one in shown.taken] == [raw_sha256(1)]
    forgotten: list[Withdrawal] = []
    records = replace(NOTHING, forget=lambda plan: forgotten.append(plan) or [])  # type: ignore[func-returns-value]
    withdraw(store, DIRECTOR, [given], records, who="ann", source=True, moved_to="")
    assert all("film/1.jpg" in one.names for one in forgotten)
    assert len(forgotten) == 2
    assert pending(store, DIRECTOR) == []


def unfinished(store: Store) -> Path:
    """A training on it that was cut off."""
    path = work_folder(store, "trainings") / "x" / "000001" / "identity.json"
    path.parent.mkdir(parents=True)
    path.write_text(still_id(1))
    return path


def test_work_that_cannot_be_removed_is_told_and_the_next_one_removes_it(
    store: Store, lineage: Lineage, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(store)
    path, real = unfinished(store), os.unlink

    def unlink(name: str, **options: int) -> None:
        if Path(name).name == path.name:
            raise PermissionError(13, "Permission denied", name)
        real(name, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", unlink)
        with pytest.raises(StoreError, match=r"trainings/x: could not be removed \(Permission denied"):
            take(store, "film/1.jpg", source=True)
    assert not store.exists("stills/nolan/film/1.jpg"), "what can go has gone"
    assert len(pending(store, DIRECTOR)) == 1
    take(store, "film/1.jpg", source=True)
    assert (path.exists(), pending(store, DIRECTOR)) == (False, [])


def test_ended_on_another_machine_it_tells_what_is_left_on_the_first(
    store: Store, lineage: Lineage, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(store)
    path = unfinished(store)

    def busy(plan: Withdrawal) -> list[str]:
        raise StoreError("the records", "are locked", "Run it again.")

    with monkeypatch.context() as patch:
        patch.setattr(socket, "gethostname", lambda: "first")
        with pytest.raises(StoreError, match="are locked"):
            withdraw(store, DIRECTOR, ["film/1.jpg"], replace(NOTHING, forget=busy), who="a", source=True, moved_to="")
    shutil.rmtree(path.parent.parent)  # another machine has no such folder
    first, _ = withdraw(store, DIRECTOR, ["film/1.jpg"], NOTHING, who="a", source=True, moved_to="")
    assert any("Begun on first: delete there" in note and str(path.parent.parent) in note for note in first.notes)


def test_a_bucket_and_what_this_machine_keeps_of_it(bucket: str, tmp_path: Path) -> None:
    store = Store(bucket, cache=ReadCache(tmp_path / "kept", 1 << 24))
    lineage = Lineage(store)
    bring(store)
    lineage.publish(3)
    store.write("work/trainings/x/000001/identity.json", still_id(1).encode())
    assert store.read("stills/nolan/film/1.jpg") == picture(1)
    assert [path for path in (tmp_path / "kept").rglob("*") if path.is_file()]
    take(store, "film/1.jpg", source=True)
    assert not list((tmp_path / "kept").glob("??/*"))
    names = everything(store)
    assert not [name for name in names if still_id(1) in name or name.endswith(("/f/1", "/1.jpg"))]
    assert not [name for name in names if name.startswith(("work/", "assets/stills/", "assets/mini/latents/"))]
    assert list(read_withdrawn(store, DIRECTOR)) == [raw_sha256(1)]
