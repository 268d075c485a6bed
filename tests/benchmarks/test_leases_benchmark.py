"""Leases of devices under many takers, of which some are killed: `benchmarks.leases`, in small."""

import json
import subprocess
import sys

import pytest

CODE = """
import sys
from benchmarks.leases import main
code = main()
sys.exit(code or " ".join(name for name in ("torch", "dagster") if name in sys.modules) or None)
"""


@pytest.mark.timeout(120)
def test_no_device_is_had_twice_and_none_is_lost_whoever_is_killed() -> None:
    """In a process of its own: what forks takers has imported nothing heavy."""
    options = ["--leases", "100", "--seed", "1", "--json"]
    ended = subprocess.run([sys.executable, "-c", CODE, *options], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert len(json.loads(ended.stdout)["bars"]) == 6
