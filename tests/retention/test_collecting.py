"""What a collection takes and leaves, by each rule, and that a kill in it harms nothing."""

import json
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from director_diffusion.errors import BusyError, StoreError
from director_diffusion.publishing.sign_offs import SignOff, add_sign_off
from director_diffusion.releases.record import Release, write_releases
from director_diffusion.retention.collect import collect, plan_collection
from director_diffusion.retention.collection import Collection as Collected
from director_diffusion.retention.collection import Policy
from director_diffusion.storage import Artifact, Store
from director_diffusion.storage.ancestry import Ancestry
from director_diffusion.storage.artifact import OBSERVED, find_artifact, latest_artifact, pointer, set_latest
from director_diffusion.storage.lock import held_gate, pass_gate, writer_lock
from director_diffusion.storage.work import work_folder
from director_diffusion.tracing.backward import trace_back
from director_diffusion.tracing.given import given_repository
from director_diffusion.training.picks import note_training
from tests.lineages import DIRECTOR, RECIPE, Lineage, Published, refer, still_id
from tests.s3_server import S3Server

NOW = datetime(2027, 6, 1, tzinfo=UTC)  # half a year after a lineage
POLICY = Policy(keep_days=30, keep_versions=1)


@pytest.fixture(autouse=True)
def temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder of the test's own."""
    place = tmp_path / "temp"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


@pytest.fixture
def four(lineage: Lineage) -> list[Published]:
    """One published, then three withheld; the last is what readers see."""
    return [lineage.publish(3), *(lineage.publish(step, outcome="fail", status="withheld") for step in (6, 9, 12))]


def swept(store: Store, policy: Policy = POLICY, now: datetime = NOW) -> Collected:
    return collect(store, plan_collection(store, policy, now), policy, now)


def whole(artifact: Artifact) -> bool:
    manifest = artifact.manifest
    return find_artifact(artifact.store, manifest.asset, manifest.partition, manifest.key) is not None


def everything_is_readable(store: Store) -> None:
    """Each artifact's files, references and inputs, and what readers see."""
    ancestry = Ancestry(store)
    for partition in (*ancestry.partitions, None):
        for asset in ancestry.assets(partition or "_all"):
            assert latest_artifact(store, asset, partition)
            for artifact in ancestry.of(asset, partition):
                assert whole(artifact), artifact.folder
                assert all(found is not None for found in ancestry.inputs(artifact).values()), artifact.folder


def files(store: Store) -> dict[str, int]:
    assert store.local_root is not None
    return {
        str(path): path.stat().st_size
        for path in store.local_root.rglob("*")
        if path.is_file() and "locks" not in path.parts
    }


def item(store: Store, name: str, *, days: float) -> str:
    """A file of the store that was written so long before NOW."""
    store.write(name, b"0123456789")
    old(Path(store.full(name)), days=days)
    return name


def old(path: Path, *, days: float) -> None:
    when = (NOW - timedelta(days=days)).timestamp()
    for one in (*path.rglob("*"), path) if path.is_dir() else (path,):
        os.utime(one, (when, when))


def test_what_is_published_and_what_readers_see_stays_and_the_rest_goes(store: Store, four: list[Published]) -> None:
    went = swept(store)
    assert [whole(one.adapter) for one in four] == [True, False, False, True]
    assert [whole(one.card) for one in four] == [True, False, False, True]
    assert {one.kind for one in went.removals} == {"artifact"}
    assert "191 days old" in went.removals[0].why or "190 days old" in went.removals[0].why
    everything_is_readable(store)
    repo = four[0].card.local_folder / "repo"
    trace = trace_back(given_repository(repo, "repo"), Ancestry(store))
    assert trace.adapter_version == four[0].version
    assert len(trace.stills) == 5
    assert [one["status"] for one in trace.publications] == ["published"]
    assert trace.lacking == ()


def test_what_is_released_or_signed_off_stays(store: Store, four: list[Published]) -> None:
    release = Release("promoted", four[1].version, "", "r", "c", "fail", "kim", "kim", "why", "2026-11-22")
    write_releases(store, RECIPE, DIRECTOR, [release])
    add_sign_off(store, RECIPE, DIRECTOR, SignOff("signed off", four[2].version, "kim", "why", "2026-11-22"))
    swept(store)
    assert all(whole(one.adapter) and whole(one.publication) for one in four)
    add_sign_off(store, RECIPE, DIRECTOR, SignOff("taken back", four[2].version, "kim", "why", "2026-11-23"))
    swept(store)
    assert [whole(one.adapter) for one in four] == [True, True, False, True]
    everything_is_readable(store)


def test_the_young_and_the_newest_stay_with_all_that_they_were_made_of(store: Store, lineage: Lineage) -> None:
    first = lineage.publish(3, status="withheld")
    before = dict(lineage.dataset)
    lineage.reject(0)
    second = lineage.publish(6, status="withheld")
    assert plan_collection(store, Policy(400, 1), NOW).removals == ()
    assert plan_collection(store, Policy(30, 2), NOW).removals == ()
    assert plan_collection(store, Policy(0, 1), lineage.made + timedelta(minutes=50)).removals == ()
    set_latest(first.adapter)  # old data go with what was made of them alone
    swept(store)
    assert whole(first.adapter)
    assert whole(before["mini/latents"])
    assert whole(before["captions"])
    assert not whole(first.card)
    assert whole(second.adapter)  # the newest
    everything_is_readable(store)


def test_a_dry_run_changes_nothing_and_a_second_collection_finds_nothing(store: Store, four: list[Published]) -> None:
    before = files(store)
    plan = plan_collection(store, POLICY, NOW)
    assert files(store) == before
    went = swept(store)
    assert went.removals == plan.removals
    assert sum(before.values()) - sum(files(store).values()) == plan.bytes
    assert swept(store).removals == ()


def test_items_go_that_nothing_refers_to_and_that_are_old(store: Store, four: list[Published]) -> None:
    kept = [
        item(store, "cache/images/f/used.png", days=100),
        item(store, "cache/images/f/young.png", days=20),
        item(store, "cache/captions/f/" + still_id(0) + ".aaaa.json", days=100),
        item(store, "cache/previews/f/young.png", days=20),
        item(store, "cache/trainings/newest/step-000003.safetensors", days=100),
        item(store, "cache/parts/vae-0123/part.json", days=100),
        item(store, "cache/canary/c/adapter.safetensors", days=100),
        item(store, "cache/images/canary/first.png", days=100),
    ]
    store.write("cache/canary/c/pictures-0.json", json.dumps({"folder": "cache/images/canary"}).encode())
    gone = [
        item(store, "cache/images/f/unused.png", days=100),
        item(store, "cache/images/f/of-a-removed-one.png", days=100),
        item(store, "cache/captions/f/" + still_id(99) + ".aaaa.json", days=100),
        item(store, "cache/previews/f/old.png", days=100),
        item(store, "cache/trainings/earlier/step-000003.safetensors", days=100),
    ]
    note_training(store, RECIPE, DIRECTOR, "newest")
    refer(four[0].adapter, kept[0])
    refer(four[1].adapter, gone[1])
    went = swept(store)
    assert {one.name for one in went.removals if one.kind == "item"} == set(gone)
    assert all(store.exists(name) for name in kept)
    assert not any(store.exists(name) for name in gone)
    everything_is_readable(store)


def test_pictures_that_were_shown_while_something_was_made_go_by_age(store: Store, four: list[Published]) -> None:
    places = (f"assets/{RECIPE}/adapter/{DIRECTOR}", "assets/canary/_all")
    gone = [item(store, f"{place}/observed/pictures/a.jpg", days=100) for place in places]
    kept = [
        *(item(store, f"{place}/observed/pictures/b.jpg", days=20) for place in places),
        item(store, f"{four[0].adapter.folder}/pictures/c.jpg", days=100),
    ]
    went = swept(store)
    assert {one.name for one in went.removals if one.kind == "item"} == set(gone)
    assert (store.present(gone), store.present(kept)) == (set(), set(kept))


def test_a_director_may_be_called_as_the_folder_of_pictures_is(store: Store) -> None:
    lineage = Lineage(store, OBSERVED)
    made = [lineage.publish(3), lineage.publish(6)]
    latest = {pointer(one.adapter.manifest.asset, OBSERVED) for one in made}
    swept(store)
    assert store.present(latest) == latest
    everything_is_readable(store)


def test_no_picture_goes_while_a_canary_has_not_said_which_are_its_first(store: Store) -> None:
    item(store, "cache/canary/c/adapter.safetensors", days=100)
    item(store, "cache/images/f/unused.png", days=100)
    plan = plan_collection(store, POLICY, NOW)
    assert plan.removals == ()
    assert "canary" in plan.notes[0]


def test_what_killed_processes_left_goes(store: Store, temp: Path, four: list[Published]) -> None:
    place = f"assets/{RECIPE}/adapter/{DIRECTOR}"
    remains = item(store, f"{place}/{'0' * 16}/adapter.safetensors", days=1)
    first = item(store, f"assets/mini/latents/varda/{'1' * 16}/latents.parquet", days=1)
    young = item(store, f"{place}/{'2' * 16}/adapter.safetensors", days=0.5 / 24)
    half, writing = item(store, "captions/.part-1", days=2), item(store, "captions/.part-2", days=0.5)
    refer(four[3].adapter, item(store, "cache/trainings/done/step-000003.safetensors", days=1))
    work = work_folder(store, f"trainings/{RECIPE}/adapter/{DIRECTOR}")
    for name, days in (("done", 1), ("given-up", 100), ("going-on", 1)):
        (work / name / "step-000003").mkdir(parents=True)
        (work / name / "step-000003" / "identity.json").write_text("{}")
        old(work / name, days=days)
    for name, days in (("director-out-a", 8), ("director-out-b", 2)):
        (temp / name).mkdir()
        old(temp / name, days=days)
    went = swept(store)
    gone = {remains.rpartition("/")[0], first.rpartition("/")[0], half}
    gone |= {str(work / "done"), str(work / "given-up"), str(temp / "director-out-a")}
    assert {one.name for one in went.removals if one.kind != "artifact"} == gone
    assert store.exists(young)
    assert store.exists(writing)
    assert (work / "going-on").exists()
    assert (temp / "director-out-b").exists()
    assert not any(store.exists(name) for name in (remains, first, half))
    assert swept(store).removals == ()


def test_a_kill_at_any_moment_leaves_what_the_next_collection_finishes(
    tmp_path: Path, temp: Path, store: Store, lineage: Lineage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after each single deletion of a file, every artifact that is left is whole, and the end is the same."""
    lineage.publish(3)
    for step in (6, 9):
        lineage.publish(step, outcome="fail", status="withheld")
    for name in ("cache/images/f/1.png", "cache/images/f/2.png", "captions/.part-1"):
        item(store, name, days=100)
    work = work_folder(store, f"trainings/{RECIPE}/adapter/{DIRECTOR}") / "given-up" / "step-000003"
    work.mkdir(parents=True)
    for file in ("tensors.safetensors", "identity.json"):
        (work / file).write_text("{}")
    old(work.parent, days=100)
    ends, after, killed = list[set[str]](), 0, True
    while killed:
        one = Store(str(tmp_path / f"store-{after}"))
        shutil.copytree(store.files.root, one.files.root, copy_function=os.link)  # no file of a store is written into
        (temp / "director-out-a" / "b").mkdir(parents=True)
        (temp / "director-out-a" / "b" / "file").touch()
        old(temp / "director-out-a", days=8)
        killed = _killed(after, lambda one=one: swept(one), monkeypatch)  # type: ignore[misc]
        everything_is_readable(one)
        later = datetime.now(UTC) + timedelta(hours=2)  # by then what was cut off is no longer young
        swept(one, now=max(later, NOW) + timedelta(days=40))
        if not killed or after % 10 == 0:
            everything_is_readable(one)
        ends.append({name.removeprefix(one.files.root) for name in files(one)} | {path.name for path in temp.iterdir()})
        shutil.rmtree(one.files.root)
        after += 1
    assert after > 25
    assert all(end == ends[-1] for end in ends)


def _killed(after: int, collect: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether it was: after that many files were deleted, wherever they were."""
    unlink, left = os.unlink, [after]

    def dies(*where: Any, **how: Any) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        unlink(*where, **how)

    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", dies)
        try:
            collect()
        except KeyboardInterrupt:
            return True
    return False


def test_nothing_goes_while_a_stage_is_at_work_and_none_begins_meanwhile(store: Store, four: list[Published]) -> None:
    before, plan = files(store), plan_collection(store, POLICY, NOW)
    with (
        writer_lock(store, "mini_lora/adapter/varda", "run 1234"),
        pytest.raises(BusyError, match="run 1234"),
    ):
        collect(store, plan, POLICY, NOW)
    assert files(store) == before
    passed = threading.Event()

    def write() -> None:
        pass_gate(store, "run 5678")
        passed.set()

    writer = threading.Thread(target=write, daemon=True)
    with held_gate(store, "director gc"):
        writer.start()
        assert not passed.wait(1), "it waits for the end of the collection"
    assert passed.wait(10)
    assert collect(store, plan, POLICY, NOW).removals


def leading_back_to(found: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    """As soon as its manifest is taken, readers are led to it by a step that had read the manifest a moment before."""
    delete = Store.delete_files

    def deletes(one: Store, names: Collection[str]) -> None:
        delete(one, names)
        if f"{found.folder}/artifact.json" in names:
            manifest = found.manifest
            pointer = {"key": manifest.key, "version": manifest.version, "made": manifest.made}
            one.write(f"{found.folder.rpartition('/')[0]}/latest.json", json.dumps(pointer).encode())

    monkeypatch.setattr(Store, "delete_files", deletes)


def test_what_a_stage_finds_again_meanwhile_stays_with_all_that_it_was_made_of(
    store: Store, lineage: Lineage, monkeypatch: pytest.MonkeyPatch
) -> None:
    lineage.publish(3, status="withheld")
    lineage.reject(0)
    found = lineage.publish(6, status="withheld")
    made_of = dict(lineage.dataset)
    image = item(store, "cache/images/f/1.png", days=100)
    refer(found.evaluation, image)
    lineage.reject(1)
    lineage.publish(9, status="withheld")
    plan = plan_collection(store, POLICY, NOW)
    assert {found.evaluation.folder, made_of["stills"].folder, image} <= set(plan.names)
    leading_back_to(found.evaluation, monkeypatch)
    went = collect(store, plan, POLICY, NOW)
    assert whole(found.evaluation)
    assert {found.evaluation.folder, found.adapter.folder, made_of["stills"].folder, image}.isdisjoint(went.names)
    assert found.card.folder in went.names
    everything_is_readable(store)


def test_who_finds_what_a_collection_has_taken_notices(store: Store, four: list[Published]) -> None:
    taken, seen = four[1].adapter, four[3].adapter
    swept(store)
    assert set_latest(taken) is False
    assert latest_artifact(store, (RECIPE, "adapter"), DIRECTOR).version == seen.version
    assert set_latest(four[0].adapter) is True


def test_where_readers_saw_nothing_they_are_not_led_to_what_has_gone(store: Store, four: list[Published]) -> None:
    taken = four[1].adapter
    swept(store)
    store.delete(f"{taken.folder.rpartition('/')[0]}/latest.json")
    assert set_latest(taken) is False
    with pytest.raises(StoreError, match="has not been materialized"):
        latest_artifact(store, (RECIPE, "adapter"), DIRECTOR)


def test_what_was_made_of_another_goes_first_whatever_the_dates_say(store: Store, lineage: Lineage) -> None:
    lineage.publish(3, status="withheld")
    lineage.reject(0)
    first = lineage.publish(6, status="withheld")
    for artifact in (first.adapter, first.card):  # of before dates were noted
        manifest = artifact.manifest.model_copy(update={"made": ""})
        store.write(f"{artifact.folder}/artifact.json", manifest.model_dump_json().encode())
    lineage.reject(1)
    lineage.publish(9, status="withheld")
    order = [one.name for one in plan_collection(store, POLICY, NOW).removals]
    assert order.index(first.publication.folder) < order.index(first.card.folder) < order.index(first.adapter.folder)
    made_of = first.adapter.manifest.inputs["mini/latents"]
    latents = next(one for one in Ancestry(store).of(("mini", "latents"), DIRECTOR) if one.version == made_of)
    assert order.index(first.adapter.folder) < order.index(latents.folder)


def test_of_a_bucket_old_items_remains_and_copies_of_checkpoints_go_too(bucket: str) -> None:
    store = Store(bucket)
    lineage = Lineage(store)
    kept = lineage.publish(3)
    withheld = lineage.publish(6, outcome="fail", status="withheld")
    lineage.publish(9, outcome="fail", status="withheld")
    place = f"work/trainings/{RECIPE}/adapter/{DIRECTOR}"
    gone = ["cache/images/f/1.png", "cache/previews/f/1.png", f"assets/{RECIPE}/adapter/{DIRECTOR}/{'0' * 16}/a.bin"]
    gone += [f"{place}/given-up/step-000003/{name}" for name in ("tensors.safetensors", "identity.json")]
    gone += [f"{place}/cut-off/step-000003/curve.parquet"]
    stay = ["cache/images/f/used.png", f"{place}/newest/step-000003/identity.json", "stills/nolan/f/1.png"]
    for name in (*gone, *stay):
        store.write(name, b"0123456789")
    note_training(store, RECIPE, DIRECTOR, "newest")
    refer(kept.adapter, stay[0])
    young = Policy(keep_days=1000, keep_versions=1)
    minute = plan_collection(store, young, datetime.now(UTC) + timedelta(minutes=1))
    assert minute.removals == ()
    assert {one.kind for one in plan_collection(store, young, NOW).removals} == {"remains"}
    plan = plan_collection(store, POLICY, NOW)
    assert collect(store, plan, POLICY, NOW).removals == plan.removals
    assert plan.notes == ()
    assert store.present(gone) == set()
    assert store.present(stay) == set(stay)
    assert not whole(withheld.adapter)
    everything_is_readable(store)
    assert swept(store).removals == ()


def test_of_a_bucket_artifacts_go_many_at_a_time(bucket: str, s3: S3Server) -> None:
    store = Store(bucket)
    lineage = Lineage(store)
    for number in range(8):
        if number % 3 == 1:
            lineage.reject(number // 3)
        lineage.publish(number + 3, status="withheld")
    plan = plan_collection(store, POLICY, NOW)
    with s3.counted() as asked:
        went = collect(store, plan, POLICY, NOW)
    artifacts = [one for one in went.removals if one.kind == "artifact"]
    deletions = [method for method, _ in asked if method in ("DELETE", "POST")]
    assert len(artifacts) > 50
    assert len(deletions) < len(artifacts), "three for each level of what was made of what"
    everything_is_readable(store)


def test_a_manifest_that_cannot_be_read_stops_it(store: Store, four: list[Published]) -> None:
    store.write(f"{four[1].adapter.folder}/artifact.json", b"{")
    with pytest.raises(StoreError, match="nobody knows what it needs"):
        plan_collection(store, POLICY, NOW)
    assert whole(four[0].adapter)
