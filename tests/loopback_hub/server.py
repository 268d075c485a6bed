"""A Hub on this machine: `with LoopbackHub(folder) as hub: HfApi(endpoint=hub.endpoint, token=hub.token)`.

Belongs here: sockets, and what goes wrong on them when the faults say so.
"""

import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, cast

from tests.loopback_hub.access import Access
from tests.loopback_hub.api import Api
from tests.loopback_hub.calls import Answer, RefusedError, read_call
from tests.loopback_hub.faults import Fault, Faults, Request
from tests.loopback_hub.repositories import Changes, Repository

TOKEN = "hf_TheTokenThatMustNeverBeSeen0123456789"
LATE_S = 0.05  # between a client's leaving and what it had asked for


class LoopbackHub:
    """A server for the time of a `with`."""

    def __init__(self, folder: Path, *, token: str = TOKEN, namespaces: tuple[str, ...] = ("studio",)):
        self.token, self.faults = token, Faults()
        self.access = Access(folder, token, namespaces)
        self.api = Api(folder, self.access)
        self.asked: list[tuple[str, str]] = []  # kinds of requests and their paths
        self.closing = threading.Event()

    def __getitem__(self, repo_id: str) -> Repository:
        return self.access.repositories[repo_id]

    @property
    def endpoint(self) -> str:
        return self.access.endpoint

    def count(self, kind: str) -> int:
        return sum(asked == kind for asked, _ in self.asked)

    def __enter__(self) -> "LoopbackHub":
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.hub = self
        self.access.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def write_as_somebody_else(self, repo_id: str, name: str, content: bytes) -> str:
        """A commit that is not of the publisher's making."""
        repository = self[repo_id]
        changes = Changes({name: repository.keep(content)})
        return repository.commit(changes, parent=None, title=f"Update {name}", message="", author="somebody")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    hub: LoopbackHub

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that leave are what faults are about; anything else must be seen."""
        import sys

        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes, which would wait for each other

    def _answer(self) -> None:
        hub = cast(_Server, self.server).hub
        call = read_call(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, b"")
        found = hub.api.route(self.command, call.path)
        if found is None:
            self._read_body()
            return self._send(Answer.error(404, f"Cannot {self.command} {call.path}"))
        (kind, _, _, answer), at = found
        hub.asked.append((kind, call.path))
        fault = hub.faults.due(cast(Request, kind))
        if fault is not None and fault.kind == "reset":
            self._read_body(half=True)
            return self._hang_up()
        body = self._read_body()
        if fault is not None and self._is_in_the_way(fault, hub, at):
            return None
        try:
            given = answer(read_call(self.command, self.path, call.headers, body), at)
        except RefusedError as refused:
            given = refused.answer
        return self._hang_up() if fault is not None and fault.kind in ("lost answer", "late") else self._send(given)

    def _is_in_the_way(self, fault: Fault, hub: LoopbackHub, at: dict[str, str]) -> bool:
        """Commit the part of the fault that comes before the work, and say whether there is no work then."""
        quoted = f"Access denied for {self.headers.get('Authorization')}"
        if fault.kind == "unavailable":
            self._send(Answer(503, b"<html>Service Unavailable</html>", {"Content-Type": "text/html"}))
        elif fault.kind == "rate limit":
            self._send(Answer.of({"error": "Too Many Requests"}, 429, Retry_After=str(fault.retry_after)))
        elif fault.kind == "unauthorised":
            self._send(Answer.error(401, quoted))
        elif fault.kind == "forbidden":
            self._send(Answer.error(403, quoted))
        elif fault.kind == "hang":
            self._wait_for_leave(hub)
            self._hang_up()
        elif fault.kind == "late":
            self._wait_for_leave(hub)
            hub.closing.wait(LATE_S)
            return False
        elif fault.kind == "race":
            hub.write_as_somebody_else(at["repo"], "notes.txt", f"note {len(hub.asked)}".encode())
            return False
        else:
            return False
        return True

    def _wait_for_leave(self, hub: LoopbackHub) -> None:
        """Until the client has closed its end."""
        self.connection.settimeout(0.01)
        while not hub.closing.is_set():
            try:
                if not self.connection.recv(1, socket.MSG_PEEK):
                    return
            except TimeoutError:
                continue

    def _read_body(self, half: bool = False) -> bytes:
        size = int(self.headers.get("Content-Length") or 0)
        return self.rfile.read(size // 2 if half else size) if size else b""

    def _hang_up(self) -> None:
        """Close with a reset, as a broken way does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def __getattr__(self, name: str) -> Any:
        """All methods alike."""
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def log_message(self, format: str, *args: Any) -> None:
        return None
