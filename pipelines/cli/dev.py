"""`director dev`: the Dagster UI and daemon, on loopback, over the same home as `director run`."""

import os
import sys

from pipelines.home import prepare_home, prepare_store
from pipelines.surroundings import CHECKOUT, read_surroundings


def dev_command(*, port: int) -> int:
    """Make home and store ready, then become `dagster dev`."""
    from rich.console import Console

    from pipelines.cli.screen import ScreenProgress, Terminal

    surroundings = read_surroundings()
    terminal = Terminal(Console(stderr=True))
    with prepare_home(surroundings), terminal.bars:
        prepare_store(surroundings, lambda: ScreenProgress(terminal).plain("placeholder stills"))
    arguments = ["dev", "-w", str(CHECKOUT / "workspace.yaml"), "-h", "127.0.0.1", "-p", str(port)]
    os.execv(sys.executable, [sys.executable, "-m", "dagster", *arguments])
