"""The compose file, read against the Dockerfile, the deployment that it chooses and Dagster's settings."""

import re
from importlib.metadata import entry_points
from typing import Any

import pytest
import yaml

from director_diffusion.catalog import load_catalog
from pipelines.surroundings import CHECKOUT
from tests.deploy.dockerfile import Stage, stages

DEPLOY = CHECKOUT / "deploy"
POSTGRES, OURS = "postgres", ("home", "code", "webserver", "daemon", "app")
DEFAULT = re.compile(r"\$\{(\w+)(?::-([^}]*)|:\?[^}]*)\}")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def image() -> Stage:
    return stages((CHECKOUT / "Dockerfile").read_text(encoding="utf-8"))[-1]


def usual(text: str) -> str:
    return DEFAULT.sub(lambda match: match[2] or "", text)


def test_all_services_of_ours_are_the_one_image(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {POSTGRES, *OURS}
    for name in OURS:
        assert compose["services"][name]["image"] == "director-diffusion"
    built = [name for name in OURS if "build" in compose["services"][name]]
    assert built == ["home"], "built once"
    assert (DEPLOY / compose["services"]["home"]["build"]).resolve() == CHECKOUT


def test_commands_are_installed_and_serve_where_the_image_says(compose: dict[str, Any], image: Stage) -> None:
    scripts = {one.name for one in entry_points(group="console_scripts")}
    served = set()
    for name in OURS:
        command = compose["services"][name]["command"]
        assert command[0] in scripts, name
        served |= {int(word) for word in command if word.isdigit()}
        for published in compose["services"][name].get("ports", []):
            host, outer, inner = published.split(":")
            assert host == "127.0.0.1", "no port is open to the network by itself"
            assert outer == inner
            assert inner in command
    assert served == set(image.ports)
    assert compose["services"]["code"]["command"][3:5] == image.command[3:5]


def test_the_workspace_names_the_code_server(compose: dict[str, Any]) -> None:
    (location,) = yaml.safe_load((DEPLOY / "compose_workspace.yaml").read_text(encoding="utf-8"))["load_from"]
    server, own = location["grpc_server"], yaml.safe_load((CHECKOUT / "workspace.yaml").read_text(encoding="utf-8"))
    code = compose["services"][server["host"]]
    assert code["hostname"] == server["host"]
    assert str(server["port"]) in code["command"]
    assert server["location_name"] == own["load_from"][0]["python_module"]["location_name"]
    for name in ("webserver", "daemon"):
        service = compose["services"][name]
        path = service["command"][service["command"].index("-w") + 1]
        source, target, _ = next(mount for mount in service["volumes"] if "workspace" in mount).split(":")
        assert (target, (DEPLOY / source).is_file()) == (path, True)


def test_records_and_files_are_where_all_of_them_look(compose: dict[str, Any], image: Stage) -> None:
    catalog = load_catalog(CHECKOUT / "configs")
    for name in OURS:
        service = compose["services"][name]
        environment, mounts = service["environment"], [mount.split(":")[1] for mount in service["volumes"]]
        deployment = catalog.deployments[usual(environment["DIRECTOR_DEPLOYMENT"])]
        assert usual(environment["DIRECTOR_PROJECT"]) in catalog.projects
        settings = yaml.safe_load((CHECKOUT / "configs" / "dagster" / f"{deployment.dagster}.yaml").read_text())
        variable = settings["storage"]["postgres"]["postgres_url"]["env"]
        address = re.fullmatch(r"postgresql\+psycopg2://(\w+)@(\w+)/(\w+)", environment[variable])
        assert address is not None, "no password stands in it"
        user, host, database = address.groups()
        server = compose["services"][host]["environment"]
        assert (server["POSTGRES_USER"], server["POSTGRES_DB"]) == (user, database)
        assert environment["PGPASSWORD"] == server["POSTGRES_PASSWORD"]
        assert image.volumes[0] in mounts
        assert f"{image.folders[-1]}/configs" in mounts
        assert {"DAGSTER_HOME", "DIRECTOR_STORE"}.isdisjoint(environment), "the image says where these are"


def test_the_ui_is_reached_by_its_service_and_shown_by_its_published_port(compose: dict[str, Any]) -> None:
    environment = compose["services"]["daemon"]["environment"]
    service, _, port = environment["DIRECTOR_UI"].partition(":")
    (published,) = compose["services"][service]["ports"]
    host, outer, inner = published.split(":")
    assert (port, usual(environment["DIRECTOR_UI_LINK"])) == (inner, f"http://{host}:{outer}")


def test_the_home_is_made_before_anything_opens_it(compose: dict[str, Any]) -> None:
    def waits_for(name: str) -> dict[str, str]:
        return {other: how["condition"] for other, how in compose["services"][name]["depends_on"].items()}

    assert waits_for("home") == {POSTGRES: "service_healthy"}
    for name in ("code", "app"):
        assert waits_for(name) == {"home": "service_completed_successfully"}
    for name in ("webserver", "daemon"):
        assert waits_for(name) == {"code": "service_healthy"}
    assert compose["services"]["home"]["restart"] == "no"


def test_no_secret_stands_in_it_and_git_ignores_where_they_are(compose: dict[str, Any]) -> None:
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    asked = {match[1] for match in DEFAULT.finditer(text)}
    example = (DEPLOY / "example.env").read_text(encoding="utf-8")
    # What no line of the file names, reaches the containers by the whole of deploy/.env.
    assert compose["x-director"]["env_file"] == [{"path": ".env", "required": False}]
    handed_on = {"DIRECTOR_STORE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"}
    assert {line.lstrip("# ").partition("=")[0] for line in example.splitlines()[1:]} == asked | handed_on
    assert not re.search(r"^(POSTGRES_PASSWORD|# HF_TOKEN)=\S", example, re.MULTILINE)
    ignored = (CHECKOUT / ".gitignore").read_text(encoding="utf-8").splitlines()
    secret = compose["secrets"]["studio_users"]["file"].removeprefix("./")
    assert {"deploy/.env", f"deploy/{secret}"} <= set(ignored)
