"""`director doctor`: what it says of a project, and how it ends.  What it finds is tested in tests/models."""

from pathlib import Path

import pytest

from tests.small_configs import change, read
from tests.tiny_project import TinyProject


@pytest.fixture
def project(tmp_path: Path) -> TinyProject:
    """In a folder whose name is longer than a line: what is found of it is told over several."""
    return TinyProject.make(tmp_path / ("folder" * 25) / "project", directors=("nolan", "fincher"))


def test_an_empty_store_that_wants_placeholders_is_well(project: TinyProject) -> None:
    outcome = project.director("doctor")
    assert outcome.code == 0, outcome.out
    found = {name: told for name, _, told, _ in rows(outcome.out)}
    assert {"configs", "DAGSTER_HOME", "stills", "basemini", "captioner", "embedder"} <= set(found)
    assert found["configs"].endswith(*squeezed("configs: 2 directors"))
    assert found["stills"].endswith(*squeezed("placeholder stills are drawn at the first run"))
    assert "missing" not in [state for _, state, _, _ in rows(outcome.out)]
    assert not (project.folder / "store").exists(), "it only looks"
    assert not (project.folder / "dagster_home").exists()


def test_a_director_without_stills_is_a_warning(project: TinyProject) -> None:
    (project.stills("nolan") / "film").mkdir(parents=True)
    outcome = project.director("doctor")
    assert outcome.code == 0
    (row,) = (row for row in rows(outcome.out) if row[0] == "stills")
    assert row[1:3] == ["warning", *squeezed(f"none of fincher in {project.folder / 'store'}")]


def test_records_and_votes_are_looked_at_and_not_only_named(project: TinyProject) -> None:
    def state(name: str) -> tuple[str, str]:
        (row,) = (row for row in rows(project.director("doctor").out) if row[0] == name)
        return row[1], row[2]

    assert state("executor") == ("ok", "in_process")
    assert state("votes")[1].endswith(*squeezed("votes.sqlite: made with the studio"))
    assert state("DAGSTER_HOME")[1].endswith(*squeezed("dagster_home: made at the first run, records in sqlite"))
    home = project.folder / "dagster_home"
    assert project.director("plan").code == 0  # makes it
    assert state("DAGSTER_HOME") == ("ok", *squeezed(f"{home}: 0 runs, records in sqlite"))
    (home / "dagster.yaml").write_text("storage: [")
    assert state("DAGSTER_HOME")[0] == "missing"
    (project.folder / "store").mkdir(exist_ok=True)
    votes = project.folder / "store" / "votes.sqlite"
    change(project.configs, "deployments/local", dagster="postgres", votes=f"sqlite:///{votes}")
    votes.touch()
    assert state("votes")[1].endswith(*squeezed("its table is made with the studio"))
    assert (votes.read_bytes(), list(votes.parent.glob("votes*"))) == (b"", [votes]), "a look changes nothing"
    votes.write_text("no database" * 1000)
    assert state("votes")[0] == "missing"
    (home / "dagster.yaml").unlink()
    assert state("DAGSTER_HOME") == (
        "missing",
        *squeezed("DIRECTOR_DAGSTER_POSTGRES_URL is not set, and DAGSTER_HOME keeps its records in Postgres"),
    )


def test_a_model_that_is_not_there_ends_with_one_and_its_mend(project: TinyProject) -> None:
    base = read(project.configs, "bases/mini")
    change(project.configs, "bases/mini", source={"kind": "folder", "folder": "my_base"})
    outcome = project.director("doctor")
    assert outcome.code == 1
    (row,) = (row for row in rows(outcome.out) if row[0] == "basemini")
    assert row[1] == "missing"
    assert row[2].startswith("my_base:")
    change(project.configs, "bases/mini", source={**base["source"]})
    assert project.director("doctor").code == 0


def test_a_checkpoint_that_is_sampled_with_is_looked_for_too(project: TinyProject) -> None:
    source = {"kind": "single_file", "file": "student.safetensors", "rest": {"kind": "folder", "folder": "my_base"}}
    guidance = {"kind": "embedded"}
    student = {"name": "student", "model_id": "student", "source": source, "guidance": guidance}
    change(project.configs, "bases/mini", sampled_with=student)
    outcome = project.director("doctor")
    assert outcome.code == 1
    (row,) = (row for row in rows(outcome.out) if row[0] == "basemini,sampled")
    assert row[1] == "missing"
    assert row[2].startswith(*squeezed("student.safetensors: is not a file (looked for "))


def test_the_baseline_of_students_is_looked_for_too(project: TinyProject) -> None:
    turbo = read(project.configs, "recipes/sd15_lora_turbo")["turbo"]
    change(project.configs, "projects/demo", recipes=["sd15_lora_turbo"])
    for source, state, found in (
        ({"kind": "folder", "folder": "lcm"}, "missing", "lcm: is not a folder"),
        ({"kind": "hub", "repo": "owner/lcm"}, "missing", "owner/lcm: has no pinned revision"),
        ({"kind": "hub", "repo": "owner/lcm", "revision": "a" * 40}, "warning", "owner/lcm is not downloaded yet"),
    ):
        change(project.configs, "recipes/sd15_lora_turbo", turbo={**turbo, "baseline": {"source": source}})
        (row,) = (row for row in rows(project.director("doctor").out) if row[0] == "baselineofsd15_lora_turbo")
        assert row[1] == state
        assert row[2].startswith(*squeezed(found))


def test_what_the_project_is_yet_to_train_is_a_warning(project: TinyProject) -> None:
    change(project.configs, "bases/mini", source={"kind": "base_model", "base": "mini"})
    outcome = project.director("doctor")
    assert outcome.code == 0, outcome.out
    (row,) = (row for row in rows(outcome.out) if row[0] == "basemini")
    assert row[1:] == ["warning", *squeezed("mini/base_model: has not been trained yet", f"{MEND} mini")]


def test_training_data_that_is_not_there_is_a_warning_with_where_to_have_it(project: TinyProject) -> None:
    data = read(project.configs, "bases/mnist")["trained_here"]["data"]
    outcome = project.director("doctor")
    assert outcome.code == 0, outcome.out
    found = [row for row in rows(outcome.out) if row[0] == "dataofmnist"]
    assert [row[1] for row in found] == ["warning", "warning"]
    for row, place in zip(found, (data["images"], data["labels"]), strict=True):
        assert row[2].startswith(*squeezed(f"{place} was not found (looked for {project.folder / place}"))
        assert data["available_at"] in row[3]
        (project.folder / place).parent.mkdir(parents=True, exist_ok=True)
        (project.folder / place).touch()
    assert [row[1] for row in rows(project.director("doctor").out) if row[0] == "dataofmnist"] == ["ok"]


MEND = "The first run trains it, or now: director build-base"


def rows(table: str) -> list[list[str]]:
    """The cells of a printed table, as long as they may be; without spaces, of which some were lost to lines' ends."""
    found: list[list[str]] = []
    for line in table.splitlines():
        if line.startswith("│"):
            cells = squeezed(*line.split("│")[1:-1])
            if cells[0]:
                found.append(cells)
            else:
                found[-1] = [above + below for above, below in zip(found[-1], cells, strict=True)]
    return found


def squeezed(*texts: str) -> list[str]:
    return ["".join(text.split()) for text in texts]


def test_a_broken_config_is_told_in_one_line(project: TinyProject) -> None:
    change(project.configs, "recipes/mini_lora", rnak=8)
    outcome = project.director("doctor")
    assert outcome.code == 1
    assert outcome.err.startswith("director: ")
    assert "rnak" in outcome.err
    assert outcome.err.count("\n") == 1
