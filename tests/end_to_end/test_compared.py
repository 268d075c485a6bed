"""What an adapter is judged beside: other directors' stills, and the version published before."""

from pathlib import Path

import pytest

from director_diffusion.evaluation.types import Evaluation
from director_diffusion.training.rows import adapter_version
from tests.small_configs import change
from tests.tiny_project import OF_BASE, STAGES, WHOLE_RUN, TinyProject

BY = ("--who", "ann", "--why", "six steps prove nothing")


@pytest.fixture
def project(made: TinyProject, tmp_path: Path) -> TinyProject:
    """A copy of what nolan has, to be changed."""
    return made.copy(tmp_path / "project")


def judged(project: TinyProject, name: str = "evaluation", director: str = "nolan") -> Evaluation:
    return Evaluation.read(project.latest(f"mini_lora/{name}", director).local_folder)


def status(project: TinyProject) -> str:
    return str(project.latest("mini_lora/published_model", "nolan").json("publication.json")["status"])


def test_of_several_directors_the_first_is_judged_as_the_last(
    made: TinyProject, both: TinyProject, tmp_path: Path
) -> None:
    """And a still of one has another's adapter neither trained nor drawn again."""
    before, items = made.artifacts("nolan"), made.items()
    assert list(judged(made).confusion["adapter"]) == ["nolan"], "there was nobody to be told from"
    project = both.copy(tmp_path / "project")
    for director in ("nolan", "fincher"):
        found = judged(project, director=director)
        assert list(found.confusion["adapter"]) == ["fincher", "nolan"]
        (other,) = {"nolan", "fincher"} - {director}
        assert f"nearer_than_{other}" in {finding.name for finding in found.findings}
    after = project.artifacts("nolan")
    changed = [stage for stage in STAGES if before[stage][0] != after[stage][0]]
    assert changed == ["mini_lora/evaluation"], "compared anew, by what was embedded before"
    new = set(project.items()) - set(items)
    others = {name for stage in ("mini_lora/samples",) for name in references(project, stage, "fincher")}
    assert {name for name in new if name.startswith("images/")} <= others

    again = project.run("nolan", "fincher", "--until", "evaluation")
    assert {row["reused"] for row in again.rows} == {STAGES.index("mini_lora/evaluation") + 1 + len(OF_BASE)}
    assert project.artifacts("nolan") == after

    stills = sorted(project.stills("fincher").glob("*/*.jpg"))
    for still in stills[:2]:
        still.unlink()
    outcome = project.run("fincher", "--until", "reference_set")
    assert outcome.code == 0, outcome.err
    outcome = project.run("nolan", "--until", "evaluation")
    assert outcome.code == 0, outcome.err
    last = project.artifacts("nolan")
    changed = [stage for stage in STAGES if after[stage][0] != last[stage][0]]
    assert changed in ([], ["mini_lora/evaluation"]), "nothing, where all that went was not held out"


def references(project: TinyProject, stage: str, director: str) -> set[str]:
    """Items of the caches that a stage's artifact refers to."""
    return {name.removeprefix("cache/") for name in project.latest(stage, director).manifest.references}


def test_the_next_version_is_compared_with_the_published_one(project: TinyProject) -> None:
    version = adapter_version(project.latest("mini_lora/adapter", "nolan").manifest)
    assert project.director("sign-off", "nolan", *BY).code == 0
    assert project.run("nolan").code == 0
    assert status(project) == "published"
    published = project.artifacts("nolan")
    outcome = project.run("nolan")
    assert outcome.rows[0]["reused"] == WHOLE_RUN, "its own publication makes its evaluation no staler"
    assert project.artifacts("nolan") == published
    assert judged(project, "release_evaluation").published == ""

    change(project.configs, "recipes/mini_lora", seed=5)
    outcome = project.run("nolan")
    assert outcome.code == 0, outcome.err
    assert adapter_version(project.latest("mini_lora/adapter", "nolan").manifest) != version
    assert status(project) == "withheld", "the word was given for the version before"
    for name in ("evaluation", "release_evaluation"):
        found = judged(project, name)
        assert found.published == version
        assert {"style_published", "prompt_published"} <= {finding.name for finding in found.findings}
        effect = found.effect(found.style, "published")
        assert (effect.n, effect.seeds) == (4, len(found.seeds))
