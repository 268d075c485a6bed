"""Dagster's records of runs, as a withdrawal looks through them."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from director_diffusion.withdrawal.plan import Withdrawal
from pipelines.history import PARTITION, records_of

PLAN = Withdrawal("nolan", "ann", (), needles=("3f9a1c",), names=("film/1.jpg", "1.jpg", "\u00e9t\u00e9.jpg"))


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    home: Path = tmp_path_factory.mktemp("home")
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        yield instance


@pytest.mark.parametrize(
    ("whose", "said", "told"),
    [
        ("nolan", "used 1.jpg.", True),
        ("nolan", "used:\n1.jpg\n", True),
        ("nolan", "read 1.jpg.decision.yaml", True),
        ("nolan", "| `1.jpg` |", True),
        ("nolan", "used \u00e9t\u00e9.jpg", True),
        ("nolan", "used 11.jpg, a1.jpg, take-1.jpg, take_1.jpg, x.1.jpg, 1.jpgs", False),
        ("nolan", "x3f9a1cx", True),
        (None, "used film/1.jpg", True),
        (None, "used 1.jpg, another film/1.jpg2", False),
        (None, "x3f9a1cx", True),
        ("fincher", "used film/1.jpg", False),
    ],
)
def test_a_run_tells_of_a_still_that_it_names_and_not_of_one_that_is_called_alike(
    instance: dg.DagsterInstance, whose: str | None, said: str, told: bool
) -> None:
    run = create_run_for_test(instance, "a_job", tags={PARTITION: whose} if whose else {})
    instance.report_engine_event(said, run)
    assert (run.run_id in records_of(instance).telling(PLAN)) == told
    instance.delete_run(run.run_id)


@pytest.mark.parametrize(("whose", "counts"), [("nolan", True), (None, True), ("fincher", False)])
def test_a_run_that_goes_on_counts_whatever_it_has_said(
    instance: dg.DagsterInstance, whose: str | None, counts: bool
) -> None:
    run = create_run_for_test(
        instance, "a_job", tags={PARTITION: whose} if whose else {}, status=dg.DagsterRunStatus.STARTED
    )
    assert records_of(instance).going_on("nolan") == ([f"run {run.run_id[:8]}"] if counts else [])
    instance.delete_run(run.run_id)
