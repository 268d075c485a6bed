"""Configs changed by chance: valid, or refused in plain words; `benchmarks.config_fuzz` tries thousands."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings

from benchmarks.hostile.configs import CONFIGS, LINES, Changed, Loader, changed_files
from director_diffusion.catalog import KINDS, load_spec
from director_diffusion.errors import SpecError
from director_diffusion.plain_text import is_plain
from director_diffusion.spec_reading import read_spec
from pipelines.cli.main import main

EXAMPLES = 40


@pytest.fixture(scope="module")
def loader(tmp_path_factory: pytest.TempPathFactory) -> Loader:
    return Loader(tmp_path_factory.mktemp("fuzzed"))


def changed(kind: str, slug: str, old: str, new: str) -> Changed:
    text = (CONFIGS / kind / f"{slug}.yaml").read_text()
    assert old in text
    return Changed(kind, slug, text.replace(old, new, 1).encode())


@example(changed("projects", "demo", "[mini_lora]", "[mini_lora, mini_lora]"))
@example(changed("evaluations", "mini", "memorised: 0.1", "memorised: 1.0e-300"))
@example(changed("deployments", "local", "device: cpu", "device: cpu\nmodel_cache: ~nobody_of_that_name/x"))
@example(changed("deployments", "local", "device: cpu", "device: cpu\nevaluated_within_days: 1.0e+300"))
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
@given(changed_files())
def test_a_changed_config_is_valid_or_refused_in_words(loader: Loader, changed: Changed) -> None:
    outcome = loader.outcome(changed)
    assert outcome.is_well, f"{outcome.how}: {outcome.words}"


def test_whatever_yaml_can_do_is_valid_or_refused_with_the_file() -> None:
    director = (CONFIGS / "directors" / "nolan.yaml").read_text()
    for line in LINES:
        with pytest.raises(SpecError) as caught:
            read_spec(f"{director}{line}".encode(), "nolan.yaml", KINDS["directors"], slug="nolan")
        words = str(caught.value)
        assert words.startswith("nolan.yaml: "), line[:80]
        assert len(words) < 2000, line[:80]
        assert is_plain(words, lines=True), line[:80]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("trigger: other style\n", "key 'trigger' is given twice"),
        ("x: &me [*me]\n", "is a part of itself"),
        ("x: 2026-13-45\n", "'2026-13-45' is no timestamp: month must be in"),
        ("x: 99999999999999999999\n", "is more than any number here may be"),
        (next(line for line in LINES if line.startswith("laughs")), "aliases make it more than 100,000 values"),
        ("x: " + "[" * 41 + "]" * 41 + "\n", "more than 40 deep"),
    ],
)
def test_a_refusal_tells_what_and_where(line: str, words: str) -> None:
    director = (CONFIGS / "directors" / "nolan.yaml").read_text()
    with pytest.raises(SpecError, match=words) as caught:
        read_spec(f"{director}{line}".encode(), "nolan.yaml", KINDS["directors"], slug="nolan")
    assert "line" in str(caught.value)


def test_a_list_of_many_faults_tells_the_first() -> None:
    faults = "".join(f"key_{number}: 1\n" for number in range(5000))
    with pytest.raises(SpecError, match="and 4983 more") as caught:
        read_spec(faults.encode(), "nolan.yaml", KINDS["directors"], slug="nolan")
    assert len(str(caught.value)) < 10_000


def test_a_config_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "nolan.yaml")
    with pytest.raises(SpecError, match="is no file"):
        load_spec(tmp_path / "nolan.yaml", KINDS["directors"])


def test_a_command_tells_it_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = Loader(tmp_path).configs
    monkeypatch.setenv("DIRECTOR_CONFIGS", str(configs))
    (configs / "recipes" / "mini_lora.yaml").write_text("steps: !!python/object/apply:os.system [exit 1]\n")
    assert main(["plan"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("director: ")
    assert "mini_lora.yaml: is not YAML: could not determine a constructor" in told
    assert "Traceback" not in told
