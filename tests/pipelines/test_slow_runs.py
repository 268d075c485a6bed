"""Automation where runs take a while: what changes meanwhile is made in the end, and nothing for ever."""

import random
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import dagster as dg
import pytest
from dagster._core.events import (
    AssetMaterializationPlannedData,
    DagsterEvent,
    DagsterEventType,
    StepMaterializationData,
)

from director_diffusion.hashing import hash_data, short
from pipelines.automation import with_automation

MADE_OF = {
    "raw_stills": (),
    "written_captions": (),
    "stills": ("raw_stills",),
    "captions": ("stills", "written_captions"),
    "adapter": ("stills", "captions"),
}
ROOTS = ("raw_stills", "written_captions")
STAGES = tuple(name for name in MADE_OF if name not in ROOTS)
DIRECTOR = "nolan"


@dataclass
class Run:
    """A run under way: what it makes, one after the other, of what it reads as it comes to it."""

    run_id: str
    names: list[str]
    read: str | None = None


def graph(version: str = "1") -> dg.Definitions:
    partitions = dg.StaticPartitionsDefinition([DIRECTOR])

    def asset(name: str) -> dg.AssetsDefinition:
        @dg.asset(name=name, deps=list(MADE_OF[name]), partitions_def=partitions, code_version=version)
        def nothing() -> None: ...

        return nothing

    return dg.Definitions(assets=with_automation([asset(name) for name in MADE_OF]))


class Studio:
    """One director's runs, which end when they are told to."""

    def __init__(self, instance: dg.DagsterInstance):
        self.instance, self.definitions, self.cursor = instance, graph(), None
        self.version = "1"
        self.content: dict[str, str] = {}
        self.runs: list[Run] = []
        for name in MADE_OF:
            self.written(name, self.of_now(name))
        assert self.tick() == self.tick() == []

    def of_now(self, name: str) -> str:
        """What a stage would make that reads its inputs now; of a root, what is there."""
        if name in ROOTS:
            return self.content.get(name, "at first")
        return short(hash_data([name, self.version, [self.content[one] for one in MADE_OF[name]]]))

    def written(self, name: str, content: str, run: Run | None = None) -> None:
        self.content[name] = content
        tags = {"dagster/data_version": content, "dagster/code_version": self.version}
        made = dg.AssetMaterialization(dg.AssetKey([name]), partition=DIRECTOR, tags=tags)
        if run is None:
            self.instance.report_runless_asset_event(made)
        else:
            self._told(run, DagsterEventType.ASSET_MATERIALIZATION, StepMaterializationData(made))

    def begin(self, *names: str) -> Run:
        run = Run(str(uuid.uuid4()), list(names))
        keys = [dg.AssetKey([name]) for name in names]
        self.instance.add_run(
            dg.DagsterRun(
                job_name="make",
                run_id=run.run_id,
                status=dg.DagsterRunStatus.STARTED,
                asset_selection=frozenset(keys),
                tags={"dagster/partition": DIRECTOR},
            )
        )
        for key in keys:
            planned = AssetMaterializationPlannedData(key, partition=DIRECTOR)
            self._told(run, DagsterEventType.ASSET_MATERIALIZATION_PLANNED, planned)
        self.runs.append(run)
        return run

    def goes_on(self, run: Run) -> None:
        """It reads, or writes what it made of what it had read."""
        if run.read is None:
            run.read = self.of_now(run.names[0])
            return
        self.written(run.names.pop(0), run.read, run)
        run.read = None
        if not run.names:
            self.runs.remove(run)
            self._told(run, DagsterEventType.RUN_SUCCESS, None)

    def ends(self, run: Run) -> None:
        while run.names:
            self.goes_on(run)

    def tick(self) -> list[str]:
        result = dg.evaluate_automation_conditions(self.definitions, self.instance, cursor=self.cursor)
        self.cursor = result.cursor
        return [name for name in MADE_OF if result.get_requested_partitions(dg.AssetKey([name]))]

    def until_quiet(self) -> list[str]:
        found = list[str]()
        for _ in range(12):
            asked = self.tick()
            if not asked and not self.runs:
                return found
            found += asked
            for run in (*self.runs, *(self.begin(name) for name in asked)):
                self.ends(run)
        raise AssertionError(f"not quiet: {found}")

    def all_new(self) -> bool:
        return all(self.content[name] == self.of_now(name) for name in MADE_OF)

    def _told(self, run: Run, kind: DagsterEventType, data: object) -> None:
        event = DagsterEvent(event_type_value=kind.value, job_name="make", event_specific_data=data)  # type: ignore[arg-type]
        self.instance.report_dagster_event(event, run.run_id)


@pytest.fixture
def studio() -> Iterator[Studio]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Studio(instance)


def test_a_still_that_comes_while_a_run_is_under_way_is_made_after_it(studio: Studio) -> None:
    studio.written("raw_stills", "one more")
    assert studio.tick() == ["stills"]
    run = studio.begin("stills")
    studio.goes_on(run)
    studio.written("raw_stills", "two more")
    assert studio.tick() == [], "one at a time"
    studio.ends(run)
    assert studio.until_quiet().count("stills") == 1
    assert studio.all_new()


def test_a_still_that_comes_right_after_the_request_is_made(studio: Studio) -> None:
    studio.written("raw_stills", "one more")
    assert studio.tick() == ["stills"]
    studio.ends(studio.begin("stills"))
    studio.written("raw_stills", "two more")
    studio.until_quiet()
    assert studio.all_new()


def test_code_that_changes_while_a_run_is_under_way_is_run(studio: Studio) -> None:
    run = studio.begin("adapter")
    studio.goes_on(run)
    studio.version, studio.definitions = "2", graph("2")
    asked = studio.tick()
    assert asked == ["stills"], "one at a time, and what it reads first"
    studio.begin(*asked)
    studio.ends(run)
    studio.until_quiet()
    assert studio.all_new()


def test_what_one_run_makes_of_what_it_made_is_asked_for_no_more(studio: Studio) -> None:
    studio.content["raw_stills"] = "one more"
    run = studio.begin("raw_stills", *STAGES)
    while run.names:
        studio.goes_on(run)
        assert studio.tick() == []
    assert studio.until_quiet() == []
    assert studio.all_new()


def test_what_fails_is_asked_for_once(studio: Studio) -> None:
    studio.written("raw_stills", "one more")
    assert studio.tick() == ["stills"]
    for _ in range(5):
        assert studio.tick() == []


@pytest.mark.parametrize("seed", range(3))
def test_after_a_week_of_changes_at_any_moment_everything_is_of_the_newest(studio: Studio, seed: int) -> None:
    rng = random.Random(seed)
    for hour in range(40):
        does: list[Callable[[], object]] = [
            lambda hour=hour: studio.written(rng.choice(ROOTS), f"hour {hour}"),  # type: ignore[misc]
            lambda: [studio.begin(name) for name in studio.tick()],
            *(lambda run=run: studio.goes_on(run) for run in studio.runs),  # type: ignore[misc]
        ]
        rng.choice(does)()
    asked = studio.until_quiet()
    assert studio.all_new()
    assert len(asked) <= 2 * len(STAGES)
    assert studio.until_quiet() == []
