"""What `@stage` promises: reuse by key, versions by content, one writer, checks replayed, failures explained."""

import errno
import json
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from director_diffusion.checks import Check
from director_diffusion.errors import StillsError, TransientError
from director_diffusion.storage import Artifact, Store
from director_diffusion.storage.artifact import latest_artifact, pointer, write_artifact
from director_diffusion.storage.latest import when_made
from director_diffusion.storage.lock import held_gate, holders, writer_lock
from resources.making import FRESH_TAG
from resources.stage import stage
from resources.stage_run import StageResult, StageRun
from tests.stage_resources import stage_resources

PARTITIONS = dg.StaticPartitionsDefinition(["nolan", "fincher"])
LONG = Check("long_enough", "The text has five letters or more.", blocking=True)
NICE = Check("nice", "The text says please.", blocking=False)


class World:
    """Two toy stages over one input file, on an ephemeral instance."""

    def __init__(self, folder: Path, *, spec: object = None):
        self.folder, self.calls = folder, []
        self.source = folder / "source.txt"
        self.source.write_text("hello please")
        self.instance = dg.DagsterInstance.ephemeral()
        self.store = Store(str(folder / "store"))
        self.failure: Exception | None = None
        self.assets = self.define(spec)

    def define(self, spec: object) -> list[dg.AssetsDefinition]:
        @stage(partitions=PARTITIONS, group="toy", version="1", outside=True)
        def source(run: StageRun) -> StageResult:
            """The file as it is."""
            self.calls.append("source")
            (run.out / "text.txt").write_text(self.source.read_text())
            return run.result()

        @stage(partitions=PARTITIONS, group="toy", version="1", spec=spec, checks=[LONG, NICE], fresh=True)
        def loud(run: StageRun, source: Artifact) -> StageResult:
            """The file in capitals."""
            self.calls.append("loud")
            if self.failure:
                raise self.failure
            text = source.read("text.txt").decode().strip()
            (run.out / "loud.txt").write_text(text.upper())
            checks = [
                LONG.outcome(len(text) >= 5, f"{len(text)} letters", letters=len(text)),
                NICE.outcome("please" in text, "said please" if "please" in text else "rude"),
            ]
            return run.result(facts={"letters": len(text)}, checks=checks)

        @stage(partitions=PARTITIONS, group="toy", version="1", prefix="late")
        def louder(run: StageRun, loud: Artifact) -> StageResult:
            """The capitals with a mark."""
            self.calls.append("louder")
            (run.out / "louder.txt").write_text(loud.read("loud.txt").decode() + "!")
            return run.result()

        return [source, loud, louder]

    def run(self, partition: str = "nolan", **options: object) -> dg.ExecuteInProcessResult:
        self.calls.clear()
        return dg.materialize(
            self.assets,
            instance=self.instance,
            partition_key=partition,
            raise_on_error=False,
            resources=stage_resources(self.folder),
            **options,
        )

    def latest(self, name: str, partition: str = "nolan") -> Artifact:
        return latest_artifact(self.store, (name,), partition)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def data_versions(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    return {
        event.asset_key.to_user_string(): event.materialization.tags["dagster/data_version"]
        for event in result.get_asset_materialization_events()
        if event.asset_key
    }


def test_second_run_reuses_everything_and_keeps_the_versions(world: World) -> None:
    first = world.run()
    assert first.success
    assert world.calls == ["source", "loud", "louder"]
    second = world.run()
    assert second.success
    assert world.calls == ["source"], "only the root looks again"
    assert data_versions(first) == data_versions(second)
    reused = [event.materialization.metadata["reused"].value for event in second.get_asset_materialization_events()]
    assert reused == [True, True, True]


def test_a_changed_input_runs_what_depends_on_it_in_its_partition_alone(world: World) -> None:
    world.run("nolan")
    world.run("fincher")
    before = world.latest("loud", "fincher").manifest.key
    world.source.write_text("goodbye please")
    world.run("nolan")
    assert world.calls == ["source", "loud", "louder"]
    assert world.latest("loud", "fincher").manifest.key == before


def test_equal_content_under_a_new_key_stops_the_ripple(world: World) -> None:
    world.run()
    world.source.write_text("hello please\n")  # another input, the same capitals
    world.run()
    assert world.calls == ["source", "loud"], "louder is reused: its input's version did not change"


def test_switching_back_reuses_the_older_artifact(world: World) -> None:
    world.run()
    first = world.latest("loud").manifest.key
    world.source.write_text("goodbye please")
    world.run()
    world.source.write_text("hello please")
    world.run()
    assert world.calls == ["source"]
    assert world.latest("loud").manifest.key == first


def test_an_artifact_says_when_it_was_made_and_is_no_other_for_that(world: World, tmp_path: Path) -> None:
    world.run()
    first = world.latest("loud").manifest
    world.source.write_text("goodbye please")
    world.run()
    assert datetime.fromisoformat(first.made).utcoffset() == timedelta(0)
    assert "" < first.made < world.latest("loud").manifest.made
    (tmp_path / "elsewhere").mkdir()
    other = World(tmp_path / "elsewhere")
    other.run()
    again = other.latest("loud").manifest
    assert again.made > first.made
    assert (again.key, again.version) == (first.key, first.version)


def test_what_looks_outside_and_finds_the_same_says_what_it_read_now(world: World) -> None:
    @stage(partitions=PARTITIONS, group="toy", version="1", outside=True)
    def looked(run: StageRun, loud: Artifact) -> StageResult:
        """Nothing, whatever it reads."""
        (run.out / "found.txt").write_text("nothing")
        return run.result()

    world.assets = [*world.assets, looked]
    world.run()
    first = world.latest("looked")
    world.source.write_text("goodbye please")
    world.run()
    second = world.latest("looked")
    assert second.version == first.version, "what is made of it is not made anew"
    assert second.manifest.inputs == {"loud": world.latest("loud").version} != first.manifest.inputs
    world.run()
    assert world.latest("looked").manifest == second.manifest


def test_another_spec_is_another_key(tmp_path: Path) -> None:
    world = World(tmp_path, spec={"rank": 4})
    world.run()
    world.assets = world.define({"rank": 8})
    world.run()
    assert world.calls == ["source", "loud"]


def test_a_fresh_label_does_the_work_again_and_stays_the_latest(world: World) -> None:
    world.run()
    fresh = world.run(tags={FRESH_TAG: "2026-w47"})
    assert fresh.success
    assert world.calls == ["source", "loud"]
    labelled = world.latest("loud").manifest.key
    world.run(tags={FRESH_TAG: "2026-w47"})
    assert world.calls == ["source"], "the same label is the same work"
    world.run()
    assert world.calls == ["source"]
    assert world.latest("loud").manifest.key == labelled


def test_checks_are_recorded_and_replayed_on_reuse(world: World) -> None:
    world.source.write_text("hello")
    for run in (world.run(), world.run()):
        outcomes = {check.check_name: check for check in run.get_asset_check_evaluations()}
        assert outcomes["long_enough"].passed
        assert not outcomes["nice"].passed
        assert outcomes["nice"].severity == dg.AssetCheckSeverity.WARN
        assert outcomes["nice"].description == "rude"
        assert outcomes["nice"].partition == "nolan"


def test_a_failed_blocking_check_stops_what_follows_and_says_why(world: World) -> None:
    world.source.write_text("hi")
    result = world.run()
    assert not result.success
    assert world.calls == ["source", "loud"]
    later = world.run(selection=[dg.AssetKey(["late", "louder"])])
    assert not later.success
    errors = " ".join(str(event.step_failure_data.error) for event in later.get_step_failure_events())
    assert "long_enough" in errors
    assert "2 letters" in errors


def test_an_error_a_person_can_mend_is_a_failure_without_retries(world: World) -> None:
    world.failure = StillsError("stills/nolan", "is empty", "Put stills there.")
    result = world.run()
    (failure,) = result.get_step_failure_events()
    assert failure.step_failure_data.user_failure_data.description == "stills/nolan: is empty. Put stills there."
    assert world.calls == ["source", "loud"]


@pytest.mark.parametrize(("code", "told"), [(errno.ENOSPC, "no space left"), (errno.EROFS, "is read-only")])
def test_a_disk_that_refuses_a_temporary_file_is_named_with_the_way_out(world: World, code: int, told: str) -> None:
    world.failure = OSError(code, os.strerror(code), "/scratch/director-out-x/loud.txt")
    (failure,) = world.run().get_step_failure_events()
    description = failure.step_failure_data.user_failure_data.description
    assert description.startswith("/scratch/director-out-x/loud.txt: could not be written")
    assert told in description
    assert "run again" in description
    world.failure = None
    assert world.run().success


def test_a_transient_error_is_tried_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources.stage.RETRY_WAIT_S", 0)
    world.failure = TransientError("the Hub", "answered 503", "Wait.")
    result = world.run()
    assert not result.success
    assert world.calls == ["source"] + ["loud"] * 4, "one try and three more"


def test_a_failure_leaves_what_was_there_whole(world: World) -> None:
    world.run()
    before = world.latest("loud")
    world.source.write_text("other please")
    world.failure = RuntimeError("power cut")
    assert not world.run().success
    assert world.latest("loud").manifest == before.manifest
    assert before.read("loud.txt") == b"HELLO PLEASE"
    world.failure = None
    assert world.run().success
    assert world.latest("loud").read("loud.txt") == b"OTHER PLEASE"


def test_what_is_found_again_is_not_made_now(world: World) -> None:
    world.run()
    made = when_made(world.store, ("loud",), ["nolan", "nobody"])
    assert list(made) == ["nolan"]
    world.source.write_text("other please")
    world.run()
    assert when_made(world.store, ("loud",), ["nolan"]) != made
    world.source.write_text("hello please")
    world.run()
    assert world.calls == ["source"], "it goes back to what there is"
    assert when_made(world.store, ("loud",), ["nolan"]) == made


def test_what_was_made_before_pointers_said_when_is_asked_of_its_manifest(world: World) -> None:
    world.run()
    made = when_made(world.store, ("loud",), ["nolan"])
    name = pointer(("loud",), "nolan")
    latest = json.loads(world.store.read(name))
    del latest["made"]
    world.store.write(name, json.dumps(latest).encode())
    assert when_made(world.store, ("loud",), ["nolan"]) == made


def test_two_writers_are_kept_apart_and_the_holder_is_named(world: World) -> None:
    with writer_lock(world.store, "loud/nolan", "run 1234"):
        result = world.run()
    (failure,) = result.get_step_failure_events()
    assert "is being written by run 1234" in failure.step_failure_data.user_failure_data.description
    assert world.run().success


def test_who_takes_a_lost_ones_place_waits_for_it_and_takes_what_it_made(world: World) -> None:
    """A machine that only seemed lost goes on; a file server lets go of a dead one's lock after a minute."""
    world.run()
    made = world.latest("loud")
    world.store.delete("assets/loud")
    with ThreadPoolExecutor(1) as pool:
        with writer_lock(world.store, "loud/nolan", "run 1234"):
            again = pool.submit(world.run, tags={"dagster/parent_run_id": "1234"})
            time.sleep(1)
            assert not again.done()
            with tempfile.TemporaryDirectory() as out:
                (Path(out) / "loud.txt").write_text("HELLO PLEASE")
                write_artifact(world.store, Path(out), made.manifest)
        assert again.result().success
    assert world.calls.count("loud") == 0


def test_a_stage_waits_while_old_versions_are_taken_away(world: World) -> None:
    with ThreadPoolExecutor(1) as pool:
        with held_gate(world.store, "director gc"):
            made = pool.submit(world.run)
            while not holders(world.store):  # it has its lock by now, and waits at the gate
                assert not made.done()
            time.sleep(1)
            assert world.calls == []
            assert not made.done()
        assert made.result().success


def test_an_artifact_whose_files_were_deleted_is_made_again(world: World) -> None:
    world.run()
    world.store.delete(world.latest("loud").folder)
    assert world.run().success
    assert world.calls == ["source", "loud"]


@pytest.fixture
def choir(world: World) -> World:
    """The world with a stage that takes `loud` of everybody."""

    @stage(partitions=PARTITIONS, group="toy", version="1", name="choir", gathers={"voices": dg.AssetKey(["loud"])})
    def everyone(run: StageRun, source: Artifact, voices: dict[str, Artifact]) -> StageResult:
        """All who are there, one after the other."""
        world.calls.append("choir")
        sung = [f"{who}: {voices[who].read('loud.txt').decode()}" for who in sorted(voices)]
        (run.out / "choir.txt").write_text("\n".join(sung))
        return run.result()

    world.assets = [*world.assets, everyone]
    return world


def sung(world: World, partition: str = "nolan") -> list[str]:
    return world.latest("choir", partition).read("choir.txt").decode().splitlines()


def test_a_gathered_input_is_of_all_partitions_that_there_are(choir: World) -> None:
    assert choir.run("nolan").success
    assert sung(choir) == ["nolan: HELLO PLEASE"]
    choir.source.write_text("goodbye please")
    assert choir.run("fincher").success
    assert sung(choir, "fincher") == ["fincher: GOODBYE PLEASE", "nolan: HELLO PLEASE"]
    assert sung(choir) == ["nolan: HELLO PLEASE"], "until it is made again"


def test_one_more_partition_or_another_content_of_one_is_another_key(choir: World) -> None:
    choir.run("nolan")
    choir.run("fincher")
    choir.run("nolan")
    assert choir.calls == ["source", "choir"], "fincher has come"
    choir.run("nolan")
    assert choir.calls == ["source"]
    assert set(choir.latest("choir").manifest.inputs) == {"source", "loud/fincher", "loud/nolan"}

    choir.source.write_text("goodbye please")
    choir.run("fincher")
    choir.source.write_text("hello please")
    choir.run("nolan")
    assert choir.calls == ["source", "choir"], "fincher says something else"
    assert sung(choir) == ["fincher: GOODBYE PLEASE", "nolan: HELLO PLEASE"]


def test_what_a_blocking_check_refused_is_left_out_of_what_is_gathered(choir: World) -> None:
    choir.source.write_text("hi")
    assert not choir.run("fincher").success
    choir.source.write_text("hello please")
    assert choir.run("nolan").success
    assert sung(choir) == ["nolan: HELLO PLEASE"]


def test_a_gathered_artifact_whose_files_are_gone_is_named(choir: World) -> None:
    choir.run("fincher")
    choir.store.delete(choir.latest("loud", "fincher").folder)
    result = choir.run("nolan")
    assert not result.success
    errors = " ".join(str(event.step_failure_data.error) for event in result.get_step_failure_events())
    assert "lost the files of version" in errors
    assert "'fincher'" in errors
