"""The running UI: where it is, for this process and for people, and telling it that the configs changed."""

import os

ADDRESS_VARIABLE, DEFAULT_ADDRESS = "DIRECTOR_UI", "127.0.0.1:3000"
LINK_VARIABLE = "DIRECTOR_UI_LINK"
ANSWER_S = 10
RELOAD_S = 120  # a code server that stands by itself is started anew, which takes 11 s on a busy machine


def ui_address() -> str:
    """Host and port at which this process reaches the UI."""
    return os.environ.get(ADDRESS_VARIABLE) or DEFAULT_ADDRESS


def ui_link() -> str:
    """The URL at which people open it, which may be behind something that asks for a name."""
    return (os.environ.get(LINK_VARIABLE) or f"http://{ui_address()}").rstrip("/")


def reload_running_ui() -> str:
    """Reload the code location of the UI at DIRECTOR_UI, if one answers there; says what happened."""
    from dagster_graphql import DagsterGraphQLClient, DagsterGraphQLClientError, ReloadRepositoryLocationStatus
    from requests.exceptions import RequestException

    address = ui_address()
    host, _, given = address.partition(":")
    port = int(given or 80)
    try:
        locations = {
            location for location, _ in _locations(DagsterGraphQLClient(host, port_number=port, timeout=ANSWER_S))
        }
    except (DagsterGraphQLClientError, RequestException):
        return f"No UI answers at {address}; one that runs elsewhere needs Deployment > Reload."
    try:
        client = DagsterGraphQLClient(host, port_number=port, timeout=RELOAD_S)
        failed = [
            name
            for name in sorted(locations)
            if client.reload_repository_location(name).status != ReloadRepositoryLocationStatus.SUCCESS
        ]
    except (DagsterGraphQLClientError, RequestException):
        return f"The UI at {address} did not say that it has reloaded: look at Deployment there."
    if failed:
        return f"The UI at {address} could not reload {', '.join(failed)}: open Deployment > Reload there."
    return f"The UI at {address} has reloaded."


def _locations(client: object) -> list[tuple[str, str]]:
    query = "{ workspaceOrError { ... on Workspace { locationEntries { name id } } } }"
    answer = client._execute(query)  # type: ignore[attr-defined]  # the client has no public call for a plain query
    return [(entry["name"], entry["id"]) for entry in answer["workspaceOrError"]["locationEntries"]]
