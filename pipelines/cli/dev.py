"""`director dev`: the Dagster UI and daemon, on loopback, over the same home as `director run`."""

import os
import sys

from pipelines.home import prepare_home, prepare_store
from pipelines.surroundings import read_surroundings, shipped


def dev_command(*, port: int) -> int:
    """Make home and store ready, then become `dagster dev`."""
    from rich.console import Console

    from pipelines.cli.screen import ScreenProgress, Terminal

    surroundings = read_surroundings()
    terminal = Terminal(Console(stderr=True))
    with prepare_home(surroundings), terminal.bars:
        prepare_store(surroundings, lambda: ScreenProgress(terminal).plain("placeholder stills"))
    os.environ["DIRECTOR_CONFIGS"] = str(surroundings.catalog.folder)  # wherever what Dagster starts is started
    own = surroundings.root / "workspace.yaml"
    workspace = own if own.is_file() else shipped() / "workspace.yaml"
    arguments = ["dev", "-w", str(workspace), "-h", "127.0.0.1", "-p", str(port)]
    os.execv(sys.executable, [sys.executable, "-m", "dagster", *arguments])
