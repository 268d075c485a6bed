"""What is said of a running UI once the configs changed."""

from types import SimpleNamespace
from typing import Any

import dagster_graphql
import pytest
from dagster_graphql import DagsterGraphQLClientError, ReloadRepositoryLocationStatus

from pipelines.ui_reload import ANSWER_S, reload_running_ui


class SlowClient:
    """Answers questions at once, and reloads in 11 s: the client gives up where its patience is shorter."""

    def __init__(self, hostname: str, port_number: int, timeout: int):
        self._patience = timeout

    def _execute(self, query: str) -> dict[str, Any]:
        return {"workspaceOrError": {"locationEntries": [{"name": "director-diffusion", "id": "1"}]}}

    def reload_repository_location(self, name: str) -> SimpleNamespace:
        if self._patience < 11:
            raise DagsterGraphQLClientError("Read timed out.")
        return SimpleNamespace(status=ReloadRepositoryLocationStatus.SUCCESS)


def test_a_code_server_that_takes_longer_to_reload_than_to_answer_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dagster_graphql, "DagsterGraphQLClient", SlowClient)
    monkeypatch.setenv("DIRECTOR_UI", "webserver:3000")
    assert reload_running_ui() == "The UI at webserver:3000 has reloaded."


def test_one_that_answers_and_does_not_reload_is_not_said_to_be_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dagster_graphql, "DagsterGraphQLClient", SlowClient)
    monkeypatch.setattr("pipelines.ui_reload.RELOAD_S", ANSWER_S)
    told = reload_running_ui()
    assert "did not say that it has reloaded" in told
    assert "No UI answers" not in told
