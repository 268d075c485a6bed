"""`director app`: the studio, in a browser.  `director app-user`: who may come in from elsewhere."""

import getpass
import os
import socket
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

from director_diffusion.errors import SpecError
from director_diffusion.studio.hosts import is_loopback
from director_diffusion.studio.users import Users, add_user, hashes_in, is_name, read_users
from pipelines.cli.in_process import quiet_libraries
from pipelines.cli.listening import listening_at, start_listening
from pipelines.cli.signals import take_sigterm_as_ctrl_c
from pipelines.surroundings import limit_threads, read_surroundings

GRADIO = {
    "GRADIO_ANALYTICS_ENABLED": "False",  # nothing goes out
    # For a page that is shut, gradio would make a table of all calls after each: with thousands of them it gets slow.
    "GRADIO_ANALYTICS_MAX_EVENTS": "1",
    "GRADIO_ANALYTICS_CACHE_FREQUENCY": str(10**9),
}
LEAST_PASSWORD = 10  # characters
CONNECTIONS = 1024  # a page holds a few
KEPT_S = 30  # an idle connection; after 5, uvicorn's own, slow visitors met ones that were just being closed
PARTING_S = 3  # for open pages, when the server ends


def app_command(*, host: str, port: int, users: str | None) -> int:
    """Serve until interrupted.  Raises SpecError where others than this machine are let in without a name."""
    if users is None and not is_loopback(host):
        raise SpecError(
            f"--host {host}",
            "lets others than this machine in, and needs --users",
            "Make a file: director app-user NAME --users FILE",
        )
    known = None if users is None else read_users(Path(users).expanduser())
    with listening_at(host, port) as bound:  # known before the studio is built, which takes a while
        take_sigterm_as_ctrl_c()  # else what lies in the temporary folder outlives the server
        quiet_libraries()
        _serve(bound, host, port, known)
    return 0


def _serve(bound: socket.socket, host: str, port: int, users: Users | None) -> None:
    surroundings = read_surroundings()
    limit_threads(surroundings)
    from pipelines.studio import fetch_bases

    fetch_bases(surroundings, lambda words: print(words, flush=True))
    with tempfile.TemporaryDirectory(prefix="director-studio-") as cache:
        os.environ.update(GRADIO, GRADIO_TEMP_DIR=cache)  # what gradio keeps in files goes with the server
        import uvicorn

        from director_diffusion.studio.server import build_server
        from pipelines.studio import build_studio

        studio = build_studio(surroundings)
        config = uvicorn.Config(
            build_server(studio, users=users),
            log_level="warning",
            access_log=False,
            limit_concurrency=CONNECTIONS,
            timeout_keep_alive=KEPT_S,
            timeout_graceful_shutdown=PARTING_S,
            server_header=False,
        )
        server = uvicorn.Server(config)
        start_listening(bound, host, port, config.backlog)
        print(f"The studio is on http://{_shown(host)}:{bound.getsockname()[1]}", flush=True)
        threading.Thread(target=studio.desk.warm_up, daemon=True).start()
        with suppress(KeyboardInterrupt):
            server.run([bound])


def app_user_command(name: str, *, users: str) -> int:
    """Ask for a password and add a line to the file of users, which is made for its owner's eyes alone."""
    path = Path(users).expanduser()
    if not is_name(name):
        raise SpecError(name, "is no name for a user", "Give up to 128 letters, digits and . _ @ + - of ASCII.")
    if path.exists() and name in hashes_in(path):
        raise SpecError(f"{path}", f"has {name} already", "Delete that line first, for another password.")
    password = getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    if len(password) < LEAST_PASSWORD:
        raise SpecError("the password", f"has {len(password)} characters", f"Take {LEAST_PASSWORD} or more.")
    if sys.stdin.isatty() and getpass.getpass("Again: ") != password:
        raise SpecError("the password", "was typed differently the second time", "Try again.")
    try:
        add_user(path, name, password)
    except OSError as error:
        raise SpecError(str(path), f"cannot be written: {error.strerror}", "Give another --users.") from error
    print(f"{name} may come in: director app --host ADDRESS --users {path}")
    return 0


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
