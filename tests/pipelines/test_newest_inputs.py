"""What is made of more directors than Dagster compares tells by itself whether it is of the newest."""

from pathlib import Path

import dagster as dg
import pytest

from assets_defs.newest_inputs import NAME, newest_inputs_check
from director_diffusion.storage import Artifact, CheckOutcome, Manifest, Store
from director_diffusion.storage.artifact import content_version, describe_files, set_latest, write_artifact
from pipelines.build import build_definitions
from pipelines.surroundings import read_surroundings
from resources.stage import stage
from resources.stage_run import StageResult, StageRun
from resources.store import StoreResource
from tests.stage_resources import stage_resources

DIRECTORS = [f"director_{number:03}" for number in range(120)]
PARTITIONS = dg.StaticPartitionsDefinition(DIRECTORS)
CHECK = dg.AssetCheckKey(dg.AssetKey(["choir"]), NAME)


class Choir:
    """A stage of one director, and one of all, whose check is asked by itself."""

    def __init__(self, folder: Path):
        self.folder, self.store = folder, Store(str(folder / "store"))
        self.instance = dg.DagsterInstance.ephemeral()

        @stage(partitions=PARTITIONS, group="toy", version="1")
        def voice(run: StageRun) -> StageResult:
            """What one of them sings."""
            return run.result()

        @stage(partitions=None, group="toy", version="1", gathers={"voices": dg.AssetKey(["voice"])})
        def choir(run: StageRun, voices: dict[str, Artifact]) -> StageResult:
            """All who are there."""
            (run.out / "choir.txt").write_text(" ".join(sorted(voices)))
            return run.result()

        store = StoreResource(url=self.store.url)
        self.definitions = dg.Definitions(
            assets=[voice, choir],
            asset_checks=[newest_inputs_check(choir, {voice.key: PARTITIONS, choir.key: None})],
            jobs=[
                dg.define_asset_job("sing", dg.AssetSelection.assets(choir)),
                dg.define_asset_job("look", dg.AssetSelection.checks(CHECK)),
            ],
            resources=stage_resources(folder, store=store),
            executor=dg.in_process_executor,
        )

    def voice(self, who: str, sings: str, *, refused: bool = False) -> None:
        """As if a run had made it."""
        out = self.folder / "out"
        out.mkdir(exist_ok=True)
        (out / "voice.txt").write_text(sings)
        files = describe_files(out)
        checks = (CheckOutcome(name="in_tune", passed=False, blocking=True, description="no"),) if refused else ()
        key = f"{sings}-{refused}"
        manifest = Manifest(
            asset=("voice",), partition=who, key=key, plain_key=key, version=content_version(files, ()), files=files,
            checks=checks, code_version="1", seconds=0,
        )  # fmt: skip
        set_latest(write_artifact(self.store, out, manifest))

    def run(self, job: str) -> dg.AssetCheckEvaluation:
        """What the check says in a run of this job."""
        result = self.definitions.resolve_job_def(job).execute_in_process(instance=self.instance)
        (found,) = [one for one in result.get_asset_check_evaluations() if one.check_name == NAME]
        assert found.severity == dg.AssetCheckSeverity.WARN
        return found


@pytest.fixture
def choir(tmp_path: Path) -> Choir:
    return Choir(tmp_path)


def test_what_more_than_a_hundred_directors_are_in_tells_what_changed(choir: Choir) -> None:
    assert "has not been materialized" in (choir.run("look").description or "")
    for who in DIRECTORS[:-1]:
        choir.voice(who, "la")
    made = choir.run("sing")
    assert made.passed, "it runs with its asset"
    assert made.description == "Made of the newest of its 119 inputs. Nothing of director_119 is in it."
    choir.voice("director_007", "la")
    assert choir.run("look").passed, "the same again"

    choir.voice("director_007", "do")
    choir.voice("director_119", "re")
    choir.store.delete("assets/voice/director_003")
    choir.voice("director_004", "mi", refused=True)
    found = choir.run("look")
    assert not found.passed
    assert found.description == (
        "Changed since: voice of director_007; not in it yet: voice of director_119; gone: voice of director_003, "
        "voice of director_004. Nothing of director_119 is in it. Materialize choir again."
    )
    assert {label: entry.value for label, entry in found.metadata.items()} == {
        "inputs now": 118, "changed": 1, "new": 1, "gone": 2, "directors not in it": 1,
    }  # fmt: skip
    assert choir.run("sing").passed


def test_a_director_who_left_is_told_and_ten_are_named_at_most(choir: Choir) -> None:
    for who in ["who_left", *DIRECTORS]:
        choir.voice(who, "la")
    assert choir.run("sing").passed
    made = choir.store.names("assets/choir/_all")[0]
    name = f"assets/choir/_all/{made}/artifact.json"
    manifest = Manifest.model_validate_json(choir.store.read(name))
    inputs = {**manifest.inputs, "voice/who_left": manifest.inputs["voice/director_000"]}
    choir.store.write(name, manifest.model_copy(update={"inputs": inputs}).model_dump_json().encode())
    assert (choir.run("look").description or "").startswith("Gone: voice of who_left.")
    for who in DIRECTORS[:20]:
        choir.voice(who, "do")
    assert "voice of director_009 and 10 more" in (choir.run("look").description or "")


def test_everything_made_of_all_directors_has_the_check_and_nothing_else(tmp_path: Path) -> None:
    definitions = build_definitions(read_surroundings({"DIRECTOR_STORE": str(tmp_path), "DAGSTER_HOME": str(tmp_path)}))
    graph = definitions.resolve_asset_graph()
    found = {key.asset_key.to_user_string() for key in graph.asset_check_keys if key.name == NAME}
    assert found == {"leaderboard", "mini_lora/joint_adapter", "mini_lora/joint_overview"}
    assert all(not graph.get(key).blocking for key in graph.asset_check_keys if key.name == NAME)
