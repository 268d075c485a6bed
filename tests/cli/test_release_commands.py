"""`director sign-off`, `promote`, `rollback` and `releases`: words, records, delivered files, what the UI is told."""

import base64
import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import pytest
from diffusers import FluxTransformer2DModel
from PIL import Image
from safetensors import safe_open

from director_diffusion.adapters.files import save_adapter
from director_diffusion.adapters.injection import adapter_weights
from director_diffusion.publishing.sign_offs import read_sign_offs
from director_diffusion.releases.change import promote
from director_diffusion.releases.delivery import delivered_version
from director_diffusion.releases.record import read_releases
from director_diffusion.storage import Store
from pipelines.cli.deliver import deliver_live
from pipelines.surroundings import read_surroundings
from tests.adapters.adapted import LORA, adapt, block_linears
from tests.lineages import DIRECTOR, RECIPE, Lineage, Published, header
from tests.small_configs import change, read, surroundings_of
from tests.tiny_project import Outcome, TinyProject

BY = ("--who", "ann", "--why", "better light")
NAME = f"{DIRECTOR}-{RECIPE}"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory, mini_base: Path) -> dict[int, Path]:
    """Two steps' adapters of the mini base."""
    folder, made = tmp_path_factory.mktemp("weights"), {}
    for step in (3, 6):
        flux = FluxTransformer2DModel.from_pretrained(mini_base / "transformer", local_files_only=True)
        targets = block_linears(flux)
        trained = adapter_weights(adapt(flux, LORA, targets, seed=step))
        made[step] = folder / f"{step}.safetensors"
        save_adapter(made[step], trained, LORA, targets, role="transformer", metadata=header(step))
    return made


@pytest.fixture
def project(tmp_path: Path) -> TinyProject:
    """One that delivers to `comfy/`, with nothing made."""
    project = TinyProject.make(tmp_path, directors=(DIRECTOR,))
    change(project.configs, "deployments/local", deliver_to=str(tmp_path / "comfy"))
    return project


@pytest.fixture
def two(project: TinyProject, weights: dict[int, Path]) -> tuple[Published, Published]:
    lineage = Lineage(project.store)
    first, second = (lineage.publish(step, weights=weights[step]) for step in (3, 6))
    return first, second


def comfy(project: TinyProject) -> Store:
    return Store(str(project.folder / "comfy"))


def lies_there(project: TinyProject) -> str:
    return delivered_version(comfy(project), NAME)


def done(outcome: Outcome) -> str:
    assert outcome.code == 0, outcome.err
    return " ".join(outcome.out.split())


def test_live_versions_are_delivered_rolled_back_and_listed(
    project: TinyProject, two: tuple[Published, Published]
) -> None:
    first, second = two
    assert "Nothing is live yet" in done(project.director("releases"))
    told = done(project.director("promote", DIRECTOR, "--version", first.version[:10], *BY))
    assert f"adapter {first.version[:12]} is live now (verdict pass)" in told
    assert "No workflow goes with it: ComfyUI knows bases by their published sizes" in told
    assert lies_there(project) == first.version
    done(project.director("promote", DIRECTOR, *BY))
    assert lies_there(project) == second.version
    done(project.director("rollback", DIRECTOR, "--who", "bob", "--why", "too dark"))
    assert lies_there(project) == first.version
    with safe_open(project.folder / "comfy" / "loras" / f"{NAME}.safetensors", framework="numpy") as file:
        assert file.metadata()["modelspec.trigger_phrase"] == "nolan style"
    (row,) = project.director("releases", "--json").rows
    assert {name: row[name] for name in ("act", "who", "why", "live", "delivered", "adapter_version")} == {
        "act": "rolled back", "who": "bob", "why": "too dark", "live": True, "delivered": True,
        "adapter_version": first.version,
    }  # fmt: skip
    assert len(project.director("releases", "--history", "--json").rows) == 3
    listed = done(project.director("releases", DIRECTOR, "--history"))
    assert first.version[:12] in listed
    assert second.version[:12] in listed
    with project.instance() as instance:
        records = instance.fetch_observations(dg.AssetKey([RECIPE, "published_model"]), limit=5).records
    notes = [record.event_log_entry.dagster_event.asset_observation_data.asset_observation for record in records]  # type: ignore[union-attr]
    assert notes[0].description == "rolled back by bob: too dark"
    assert [note.partition for note in notes] == [DIRECTOR] * 3


def test_what_is_delivered_shows_a_picture_of_its_own(
    project: TinyProject, two: tuple[Published, Published], weights: dict[int, Path]
) -> None:
    Lineage(project.store).publish(9, weights=weights[6], began_with=two[0])
    for published, step in zip(two, (3, 6), strict=True):
        done(project.director("promote", DIRECTOR, "--version", published.version, *BY))
        with safe_open(project.folder / "comfy" / "loras" / f"{NAME}.safetensors", framework="numpy") as file:
            thumbnail = base64.b64decode(file.metadata()["modelspec.thumbnail"].partition(",")[2])
        assert Image.open(io.BytesIO(thumbnail)).getpixel((4, 4)) == pytest.approx((10 * step,) * 3, abs=3)


def test_promoting_again_mends_what_the_folder_lost(project: TinyProject, two: tuple[Published, Published]) -> None:
    done(project.director("promote", DIRECTOR, *BY))
    comfy(project).delete(f"loras/{NAME}.safetensors")
    assert project.director("releases", "--json").rows[0]["delivered"] is False
    assert "is live already" in done(project.director("promote", DIRECTOR, *BY))
    assert lies_there(project) == two[1].version
    assert len(read_releases(project.store, RECIPE, DIRECTOR)) == 1


def test_a_kill_before_the_delivery_is_finished_by_the_same_words(
    project: TinyProject, two: tuple[Published, Published], monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in (two[0].version, two[1].version):
        done(project.director("promote", DIRECTOR, "--version", version, *BY))
    put = Store.put
    for words in (("promote", DIRECTOR, "--version", two[0].version), ("rollback", DIRECTOR)):
        before = lies_there(project)
        with monkeypatch.context() as patch:
            patch.setattr(Store, "put", _killed)
            assert project.director(*words, *BY).code == 130
        assert Store.put is put
        assert lies_there(project) == before, "the old one, whole"
        done(project.director(*words, *BY))
        live = read_releases(project.store, RECIPE, DIRECTOR)[-1]
        assert lies_there(project) == live.adapter_version != before
    assert len(read_releases(project.store, RECIPE, DIRECTOR)) == 4, "nothing is recorded twice"


@pytest.mark.parametrize("changed", ["the workflow", "the folder"])
def test_a_rollback_goes_further_back_whatever_people_did_to_the_delivered_files(
    project: TinyProject, two: tuple[Published, Published], changed: str
) -> None:
    for published in (two[0], two[1], two[0]):
        done(project.director("promote", DIRECTOR, "--version", published.version, *BY))
    done(project.director("rollback", DIRECTOR, *BY))
    if changed == "the workflow":
        comfy(project).write(f"workflows/{NAME}.json", b'{"saved": "in ComfyUI"}')
    else:
        change(project.configs, "deployments/local", deliver_to=str(project.folder / "moved"))
    told = done(project.director("rollback", DIRECTOR, "--who", "bob", "--why", "too dark"))
    assert "cut off" not in told
    entries = read_releases(project.store, RECIPE, DIRECTOR)
    assert [entry.adapter_version for entry in entries[3:]] == [two[1].version, two[0].version]
    assert (entries[-1].who, entries[-1].why) == ("bob", "too dark")


def _killed(*arguments: object) -> None:
    raise KeyboardInterrupt


def test_several_at_once_leave_what_the_record_says(project: TinyProject, two: tuple[Published, Published]) -> None:
    surroundings = read_surroundings(surroundings_of(project.folder))

    def put_live(published: Published) -> None:
        """As the command does."""
        promote(project.store, RECIPE, DIRECTOR, version=published.version, who="ann", why="w", date="2026-11-22")
        deliver_live(surroundings, project.store, RECIPE, DIRECTOR, new=False)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(put_live, [*two] * 3))
    entries = read_releases(project.store, RECIPE, DIRECTOR)
    assert {entry.adapter_version for entry in entries} == {two[0].version, two[1].version}
    assert lies_there(project) == entries[-1].adapter_version


def test_without_a_place_to_deliver_to_it_is_only_recorded(
    project: TinyProject, two: tuple[Published, Published]
) -> None:
    change(project.configs, "deployments/local", deliver_to=None)
    assert "Nothing is delivered" in done(project.director("promote", DIRECTOR, *BY))
    assert len(read_releases(project.store, RECIPE, DIRECTOR)) == 1
    assert not (project.folder / "comfy").exists()


def test_a_sign_off_is_a_name_a_reason_and_a_version(project: TinyProject) -> None:
    lineage = Lineage(project.store)
    version = lineage.publish(3, outcome="fail", status="withheld").version
    listed = done(project.director("sign-off", DIRECTOR))
    assert "release_evaluation says fail." in listed
    assert "This adapter is not signed off." in listed
    told = done(project.director("sign-off", DIRECTOR, *BY))
    assert f"adapter {version[:12]}: signed off by ann." in told
    assert f"director run {DIRECTOR} --recipe {RECIPE}" in told
    (entry,) = read_sign_offs(project.store, RECIPE, DIRECTOR)
    assert (entry.act, entry.adapter_version, entry.who, entry.why) == ("signed off", version, "ann", "better light")
    root = project.latest(f"{RECIPE}/sign_off", DIRECTOR)
    assert [each["adapter_version"] for each in root.json("sign_off.json")] == [version]
    lineage.publish(6, outcome="fail", status="withheld")
    assert "This adapter is not signed off." in done(project.director("sign-off", DIRECTOR)), "another version"
    lineage.publish(3, outcome="fail", status="withheld")
    assert "taken the sign-off back" in done(project.director("sign-off", DIRECTOR, "--clear", *BY))
    assert project.latest(f"{RECIPE}/sign_off", DIRECTOR).json("sign_off.json") == []
    assert len(read_sign_offs(project.store, RECIPE, DIRECTOR)) == 2, "the history stays"


def test_taking_back_what_is_live_is_told(project: TinyProject, weights: dict[int, Path]) -> None:
    lineage = Lineage(project.store)
    lineage.publish(3, outcome="undecided", status="withheld", weights=weights[3])
    done(project.director("sign-off", DIRECTOR, *BY))
    lineage.publish(3, outcome="undecided", weights=weights[3])
    assert "(verdict undecided, signed off by ann)" in done(project.director("promote", DIRECTOR, *BY))
    told = done(project.director("sign-off", DIRECTOR, "--clear", *BY))
    assert "It is still live" in told
    assert f"director rollback {DIRECTOR}" in told


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sign-off", DIRECTOR, *BY], "mini_lora/adapter: has not been materialized"),
        (["sign-off", DIRECTOR, "--who", "ann"], "--who and --why: are both needed"),
        (["sign-off", DIRECTOR, "--who", " ", "--why", "x"], "--who and --why: are both needed"),
        (["sign-off", DIRECTOR, "--clear"], "--who and --why: are both needed"),
        (["promote", DIRECTOR, *BY], "mini_lora/published_model: has not been materialized"),
        (["promote", DIRECTOR, "--who", "ann", "--why", ""], "--who and --why: are both needed"),
        (["promote", "absent", *BY], "absent: is no director"),
        (["rollback", DIRECTOR, *BY], "had no version live before. Promote one"),
        (["releases", "absent"], "absent: is no director"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(project: TinyProject, arguments: list[str], words: str) -> None:
    outcome = project.director(*arguments)
    assert outcome.code == 1
    assert words in outcome.err
    assert len(outcome.err.splitlines()) == 1
    assert not project.store.exists("releases")
    assert not project.store.exists("sign_offs")


def test_what_passes_needs_no_sign_off_and_what_is_not_judged_cannot_have_one(
    project: TinyProject, two: tuple[Published, Published]
) -> None:
    outcome = project.director("sign-off", DIRECTOR, *BY)
    assert (outcome.code, "passes: there is nothing to sign off" in outcome.err) == (1, True)
    project.store.delete(f"assets/{RECIPE}/release_evaluation")
    outcome = project.director("sign-off", DIRECTOR, *BY)
    assert (outcome.code, "has not been judged yet" in outcome.err) == (1, True)


@pytest.mark.parametrize("command", ["promote", "rollback"])
def test_a_signature_is_asked_for(project: TinyProject, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        project.director(command, DIRECTOR, "--who", "ann")
    assert caught.value.code == 2


def test_a_base_that_is_gone_stops_the_delivery_and_not_the_record(
    project: TinyProject, two: tuple[Published, Published]
) -> None:
    for recipe in ("mini_lora", "mini_lokr"):
        if (project.configs / "recipes" / f"{recipe}.yaml").exists():
            change(project.configs, f"recipes/{recipe}", base="mini_sd15")
    (project.configs / "bases" / "mini.yaml").rename(project.configs / "bases" / "small.yaml")
    for path in (project.configs / "recipes").glob("*.yaml"):
        if read(project.configs, f"recipes/{path.stem}")["base"] == "mini":
            change(project.configs, f"recipes/{path.stem}", base="small")
    outcome = project.director("promote", DIRECTOR, *BY)
    assert outcome.code == 1
    assert "mini: is no base any more, and this adapter was trained on it" in outcome.err
    assert json.loads(project.director("releases", "--json").out)[0]["delivered"] is False
