"""Signals: what a command does when it is told to end.  Imports nothing heavy."""

import signal


def take_sigterm_as_ctrl_c() -> None:
    """A machine that is taken back says so by SIGTERM; Dagster takes both alike, but only while a run is under way."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
