"""`director`: words on the command line, and errors in one line."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.cli.main import main
from tests.small_configs import change
from tests.tiny_project import TinyProject


@pytest.mark.parametrize("arguments", [[], ["lunch"], ["add", "varda"], ["run", "--recipe"], ["dev", "--port", "many"]])
def test_wrong_words_end_with_two_and_show_the_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: director" in capsys.readouterr().err


def test_an_interruption_says_that_nothing_is_lost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt() -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipelines.cli.doctor.doctor_command", interrupt)
    assert main(["doctor"]) == 130
    assert "run again to go on" in capsys.readouterr().err


def test_help_waits_for_no_heavy_library() -> None:
    program = (
        "import sys\n"
        "from pipelines.cli.main import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit:\n    pass\n"
        "assert not {'dagster', 'torch', 'pyarrow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, timeout=60)


def test_on_a_cluster_run_says_that_its_steps_run_here(tmp_path: Path) -> None:
    project = TinyProject.make(tmp_path, directors=("nolan",))
    change(project.configs, "deployments/local", executor="kubernetes")
    outcome = project.director("run", "nolan", "--until", "director")
    assert outcome.code == 0, outcome.err
    assert "Steps run here, in this process: those of kubernetes are sent from runs" in outcome.err
