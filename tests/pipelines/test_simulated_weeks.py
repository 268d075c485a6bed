"""Weeks of automation, simulated: what Dagster asks for is made (or fails), and it is asked again until it is quiet."""

import datetime
import shutil
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, DagsterEventType, StepMaterializationData

from director_diffusion.hashing import hash_data, short
from pipelines.build import build_definitions
from pipelines.surroundings import read_surroundings
from tests.small_configs import CONFIGS, MODELS, change

SLUGS = ("fincher", "nolan", "villeneuve")  # one whom something befalls, and two others
Made = tuple[str, str | None]
MOST_TICKS = 25
COSTLY = ("captions", "latents", "prompt_embeddings", "adapter", "samples")


class World:
    """A project whose stages' content is a function of their inputs' and of their code, as with the real ones."""

    def __init__(self, definitions: dg.Definitions, instance: dg.DagsterInstance):
        self.instance, self.cursor, self.failing = instance, None, set[Made]()
        self.said: dict[Made, str] = {}  # of roots, and of what comes out otherwise than its inputs say
        self.content: dict[Made, str] = {}
        self.reload(definitions)

    @classmethod
    def begin(cls, definitions: dg.Definitions, instance: dg.DagsterInstance) -> "World":
        """One in which all is made, and has been looked at."""
        world = cls(definitions, instance)
        for key in world.order:
            for place in world.places(key):
                world.make(place)
        assert world.until_quiet() == Counter(), "the first look only remembers"
        return world

    def copy(self, instance: dg.DagsterInstance) -> "World":
        """The same on a copy of its instance."""
        world = World(self.definitions, instance)
        world.cursor, world.said, world.content = self.cursor, dict(self.said), dict(self.content)
        return world

    def reload(self, definitions: dg.Definitions) -> None:
        self.definitions, self.graph = definitions, definitions.resolve_asset_graph()
        self.order = self.graph.toposorted_asset_keys

    def places(self, key: dg.AssetKey) -> list[Made]:
        return [(key.to_user_string(), slug) for slug in (SLUGS if self.graph.get(key).is_partitioned else (None,))]

    def make(self, place: Made, run_id: str | None = None) -> None:
        """By a person, or by a run that was asked for."""
        name, slug = place
        node = self.graph.get(dg.AssetKey(name.split("/")))
        read = [
            one
            for key in sorted(node.parent_keys)
            for one in self.places(key)
            if slug is None or one[1] in (None, slug)
        ]
        code = node.code_version
        inputs = [self.content[one] for one in read if one in self.content]
        self.content[place] = short(hash_data([name, slug, self.said.get(place, ""), code if read else "", inputs]))
        made = dg.AssetMaterialization(
            node.key,
            partition=slug,
            tags={"dagster/data_version": self.content[place], "dagster/code_version": code or ""},
        )
        if run_id is None:
            self.instance.report_runless_asset_event(made)
        else:
            kind, data = DagsterEventType.ASSET_MATERIALIZATION.value, StepMaterializationData(made)
            self.instance.report_dagster_event(DagsterEvent(kind, "make", event_specific_data=data), run_id)

    def says(self, name: str, slug: str | None, what: str) -> None:
        """A root is looked at and found to be `what`; or a stage came out so."""
        self.said[(name, slug)] = what
        self.make((name, slug))

    def tick(self) -> list[Made]:
        result = dg.evaluate_automation_conditions(self.definitions, self.instance, cursor=self.cursor)
        self.cursor = result.cursor
        asked = [
            (key.to_user_string(), slug)
            for key in self.order
            for slug in sorted(result.get_requested_partitions(key), key=str)
        ]
        runs = {slug: self.run_of({name for name, whose in asked if whose == slug}) for slug in {s for _, s in asked}}
        for place in asked:
            if place not in self.failing:
                self.make(place, runs[place[1]])
        return asked

    def run_of(self, names: set[str]) -> str:
        """What Dagster asks for of a director at once is one run."""
        run = dg.DagsterRun(
            job_name="make",
            run_id=str(uuid.uuid4()),
            status=dg.DagsterRunStatus.SUCCESS,
            asset_selection=frozenset(dg.AssetKey(name.split("/")) for name in names),
        )
        return self.instance.add_run(run).run_id

    def until_quiet(self) -> Counter[Made]:
        """Everything that is asked for until nothing is, and how often."""
        found = Counter[Made]()
        for _ in range(MOST_TICKS):
            asked = self.tick()
            if not asked:
                return found
            found.update(asked)
        raise AssertionError(f"not quiet after {MOST_TICKS} ticks: {found.most_common(10)}")

    def downstream(self, *names: str) -> set[str]:
        keys = [dg.AssetKey(name.split("/")) for name in names]
        found = dg.AssetSelection.assets(*keys).downstream().resolve(self.graph) - set(keys)
        return {key.to_user_string() for key in found}


@pytest.fixture(scope="module")
def definitions_with(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dg.Definitions]:
    """The demo's definitions for some directors with settings of the recipe changed, as a person edits them."""
    folder = tmp_path_factory.mktemp("edited")
    places = {"DIRECTOR_STORE": str(folder / "store"), "DAGSTER_HOME": str(folder / "home")}

    @cache
    def make(**settings: object) -> dg.Definitions:
        configs = folder / f"project-{len(list(folder.iterdir()))}" / "configs"
        shutil.copytree(CONFIGS, configs)
        (configs.parent / "models").symlink_to(MODELS)
        change(configs, "projects/demo", directors=list(SLUGS))
        change(configs, "recipes/mini_lora", **settings)
        return build_definitions(read_surroundings(places | {"DIRECTOR_CONFIGS": str(configs)}))

    return make


@pytest.fixture(scope="module")
def begun(
    definitions_with: Callable[..., dg.Definitions], tmp_path_factory: pytest.TempPathFactory
) -> tuple[World, Path]:
    """A world in which all is made, and the folder of its records; copy both."""
    folder = tmp_path_factory.mktemp("begun")
    with dg.instance_for_test(temp_dir=str(folder)) as instance:
        world = World.begin(definitions_with(), instance)
    return world, folder


@contextmanager
def copied(world: World, folder: Path, home: Path) -> Iterator[World]:
    """The same, with a copy of its records at `home`."""
    shutil.copytree(folder, home)
    with dg.instance_for_test(temp_dir=str(home)) as instance:
        yield world.copy(instance)


@pytest.fixture
def world(begun: tuple[World, Path], tmp_path: Path) -> Iterator[World]:
    with copied(*begun, tmp_path / "home") as world:
        yield world


@pytest.fixture(scope="module")
def edited(begun: tuple[World, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Path, Counter[Made]]:
    """One in which a caption of nolan's was edited since, the folder of its records, and what was asked for; copy."""
    home = tmp_path_factory.mktemp("edited_caption") / "home"
    with copied(*begun, home) as world:
        world.says("written_captions", "nolan", "a word")
        found = world.until_quiet()
    return world, home, found


def of(found: Mapping[Made, int], slug: str | None) -> set[str]:
    """What was asked for of a director, but for the adapter of all, which is every director's."""
    return {name for name, whose in found if whose == slug and "/joint_" not in name}


def costly_once(found: Counter[Made]) -> bool:
    """Whether nothing of a director is trained or drawn twice.  What only counts and writes may follow each of its
    inputs, and what is of all directors each of them."""
    return all(count == 1 for (name, slug), count in found.items() if slug is not None and name.endswith(COSTLY))


def test_a_new_still_makes_that_director_anew_once(world: World) -> None:
    world.says("raw_stills", "nolan", "one more")
    found = world.until_quiet()
    assert costly_once(found), dict(found)
    others = {name for name in world.downstream("raw_stills") if "/joint_" in name} | {"leaderboard"}
    assert of(found, "nolan") == world.downstream("raw_stills") - others
    assert of(found, None) == {"leaderboard"}
    assert of(found, "fincher") == set(), "no other director is evaluated anew"
    assert world.until_quiet() == Counter()


def test_an_edited_caption_touches_no_still_and_no_latent(edited: tuple[World, Path, Counter[Made]]) -> None:
    _, _, found = edited
    assert costly_once(found), dict(found)
    assert {"captions", "mini/prompt_embeddings", "mini_lora/adapter"} <= of(found, "nolan")
    assert of(found, "nolan").isdisjoint({"stills", "mini/latents", "reference_set"})


def test_the_same_content_again_asks_for_nothing(world: World) -> None:
    for key in world.order:
        for place in world.places(key):
            world.make(place)
    assert world.until_quiet() == Counter()


def test_a_stage_that_comes_out_the_same_ends_the_ripple(world: World) -> None:
    world.said |= {("captions", "nolan"): "", ("written_captions", "nolan"): "moved"}
    world.make(("written_captions", "nolan"))
    before = world.content[("captions", "nolan")]

    def same(place: Made, run_id: str | None = None, make: Callable[..., None] = world.make) -> None:
        make(place, run_id)
        if place == ("captions", "nolan"):  # the new file says what the model had said
            world.content[place] = before
            key = dg.AssetKey(["captions"])
            tags = {"dagster/data_version": before}
            world.instance.report_runless_asset_event(dg.AssetMaterialization(key, partition="nolan", tags=tags))

    world.make = same  # type: ignore[method-assign]
    assert of(world.until_quiet(), "nolan") == {"captions"}


def test_changed_code_trains_every_director_once_and_nothing_before_it(
    world: World, definitions_with: Callable[..., dg.Definitions]
) -> None:
    before = dict(world.content)
    world.reload(definitions_with(steps=121))
    found = world.until_quiet()
    assert costly_once(found), dict(found)
    for slug in SLUGS:
        assert {"mini_lora/adapter", "mini_lora/samples", "mini_lora/release_evaluation"} <= of(found, slug)
        assert of(found, slug).isdisjoint({"stills", "captions", "mini/latents", "mini/prompt_embeddings"})
        assert world.content[("mini_lora/adapter", slug)] != before[("mini_lora/adapter", slug)]
    assert world.until_quiet() == Counter()


def test_a_change_back_before_the_next_tick_is_none(
    world: World, definitions_with: Callable[..., dg.Definitions]
) -> None:
    world.reload(definitions_with(steps=121))
    world.reload(definitions_with())
    assert world.until_quiet() == Counter()


def test_what_fails_is_asked_for_once_until_something_changes(world: World) -> None:
    adapter = ("mini_lora/adapter", "nolan")
    world.failing.add(adapter)
    world.says("written_captions", "nolan", "a word")
    assert world.until_quiet()[adapter] == 1
    for _ in range(7):
        assert world.until_quiet() == Counter(), "no loop"
    world.says("written_captions", "fincher", "another")
    assert of(world.until_quiet(), "nolan") == set(), "another director's change is none of its"
    world.failing.clear()
    world.says("written_captions", "nolan", "a better word")
    found = world.until_quiet()
    assert found[adapter] == 1
    assert "mini_lora/release_evaluation" in of(found, "nolan")


def test_what_changed_while_the_daemon_was_down_is_made_once(world: World) -> None:
    for day in range(7):
        world.says("written_captions", "nolan", f"day {day}")
        world.says("raw_stills", "nolan", f"day {day}")
    found = world.until_quiet()
    assert {"stills", "captions", "mini_lora/adapter"} <= of(found, "nolan")
    assert found[("mini_lora/adapter", "nolan")] <= 2, "latents and captions may come in two looks, not in seven"


def test_two_directors_at_once_are_two_directors_work(
    edited: tuple[World, Path, Counter[Made]], tmp_path: Path
) -> None:
    before, folder, asked = edited
    alone = of(asked, "nolan")
    with copied(before, folder, tmp_path / "home") as world:
        world.says("written_captions", "fincher", "a word")
        world.says("written_captions", "villeneuve", "a word")
        found = world.until_quiet()
    assert costly_once(found), dict(found)
    assert of(found, "fincher") == of(found, "villeneuve") == alone
    assert of(found, "nolan") == set()


def test_three_weeks_of_reevaluations_ask_for_nothing_but_what_drifts(world: World) -> None:
    schedule = world.definitions.resolve_schedule_def("weekly_reevaluate_mini_lora")
    for week, when in enumerate(datetime.datetime(2026, 11, day, 6, tzinfo=datetime.UTC) for day in (16, 23, 30)):
        with dg.build_schedule_context(
            instance=world.instance,
            scheduled_execution_time=when,
            repository_def=world.definitions.get_repository_def(),
        ) as context:
            requests = schedule.evaluate_tick(context).run_requests or []
        assert [request.partition_key for request in requests] == list(SLUGS)
        for request in requests:
            for key in world.order:
                if key in (request.asset_selection or ()):
                    for place in world.places(key):
                        if place[1] in (None, request.partition_key):
                            world.make(place)
        assert world.until_quiet() == Counter(), f"the same pictures and scores in week {week}"
    world.says("mini_lora/samples", "nolan", "another driver draws otherwise")
    found = world.until_quiet()
    assert "mini_lora/evaluation" in of(found, "nolan")
    assert "mini_lora/adapter" not in of(found, "nolan"), "drift trains nothing"
