"""`director app`: where it cannot listen it says so, before anything is made ready."""

import socket
import threading
from pathlib import Path

import pytest

from director_diffusion.errors import SpecError
from director_diffusion.studio.users import add_user
from pipelines.cli.listening import listening_at, start_listening
from pipelines.cli.main import main
from tests.small_configs import change, small_configs, surroundings_of


def test_a_taken_port_is_told_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["app", "--port", str(port)]) == 1
    said = capsys.readouterr().err
    assert said == f"director: --port {port}: is taken. Give another --port, or end what listens there.\n"


def test_an_address_of_another_machine_is_told_in_a_sentence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    users = tmp_path / "users"
    add_user(users, "ada", "correct horse")
    for host in ("192.0.2.1", "no host", "a" * 100, "::g"):
        assert main(["app", "--host", host, "--port", "0", "--users", str(users)]) == 1
        said = capsys.readouterr().err
        assert said.startswith(f"director: --host {host}: cannot be listened on: ")
        assert said.endswith("Give an address or a name of this machine.\n")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]"])
def test_whatever_is_loopback_can_be_listened_on(host: str) -> None:
    with listening_at(host, 0) as found:
        start_listening(found, host, 0, 1)
        threading.Thread(target=socket.create_connection, args=(found.getsockname()[:2],), daemon=True).start()
        found.settimeout(20)
        found.accept()[0].close()


def test_of_two_that_bound_a_port_the_second_to_listen_is_told() -> None:
    with listening_at("127.0.0.1", 0) as one:
        port = one.getsockname()[1]
        with listening_at("127.0.0.1", port) as other:
            start_listening(one, "127.0.0.1", port, 1)
            with pytest.raises(SpecError, match="is taken"):
                start_listening(other, "127.0.0.1", port, 1)


def test_a_base_that_cannot_be_had_is_told_before_anybody_can_click(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(small_configs(tmp_path), "bases/mini", source={"kind": "folder", "folder": "nowhere"})
    for name, value in surroundings_of(tmp_path).items():
        monkeypatch.setenv(name, value)
    assert main(["app", "--port", "0"]) == 1
    said = capsys.readouterr()
    assert said.out == "Looking for the base mini; what is not on this machine is fetched\n"
    assert said.err.startswith("director: nowhere: is not a folder")
