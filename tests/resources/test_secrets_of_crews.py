"""Processes that share a training or the drawing log as the step does that started them."""

import io
import logging
from functools import partial

import pytest

from director_diffusion import crew
from director_diffusion.errors import TrainingError
from director_diffusion.progress import Silent
from resources.secrets import hide_in_logs
from tests.tiny_project import CHILDREN

pytestmark = pytest.mark.xdist_group("children")

TOKEN = "hf_" + "Zq7" * 10


def logs(secret: str, hand: crew.Hand) -> str:
    """What this process writes where it logs a secret."""
    said = io.StringIO()
    logger = logging.getLogger("crew")
    logger.addHandler(logging.StreamHandler(said))
    logger.warning("process %s asked with %s", hand.rank, secret)
    return said.getvalue()


def test_what_they_log_holds_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "CONTEXT", CHILDREN)
    two = crew.Crew("a test", 2, (), TrainingError, "Look.", parting_s=1.0, at_start=hide_in_logs)
    said = two.run(partial(logs, TOKEN), Silent())
    assert [line.startswith(f"process {rank} asked with ") for rank, line in enumerate(said)] == [True, True]
    assert TOKEN not in "".join(said)
