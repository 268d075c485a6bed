"""Listening: the socket of a server of ours.

Belongs here: what a `--host` and a `--port` come to, known before the work of making a server ready.  Who may come in
is the server's matter.
"""

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from director_diffusion.errors import SpecError


@contextmanager
def listening_at(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that is bound there, and answers nobody before `start_listening`.

    `host` is a name or an address, one of IPv6 with or without brackets.  Raises SpecError where another program has
    the port, and where this machine has no such address.
    """
    name = host.removeprefix("[").removesuffix("]")
    with socket.socket(socket.AF_INET6 if ":" in name else socket.AF_INET) as found:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with _explained(host, port):
            found.bind((name, port))
        yield found


def start_listening(bound: socket.socket, host: str, port: int, backlog: int) -> None:
    """From now on whoever comes is answered.  Raises SpecError where another program was faster."""
    with _explained(host, port):
        bound.listen(backlog)


@contextmanager
def _explained(host: str, port: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            way_out = "Give another --port, or end what listens there."
            raise SpecError(f"--port {port}", "is taken", way_out) from error
        if error.errno == errno.EACCES:
            raise SpecError(f"--port {port}", "is not open to this user", "Give one of 1024 or more.") from error
        problem = f"cannot be listened on: {error.strerror or error}"
        raise SpecError(f"--host {host}", problem, "Give an address or a name of this machine.") from error
