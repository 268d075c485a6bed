"""The gate: what is decided of a request before it reaches the page.

Belongs here: who may come in, which addresses there are, how large a request may be, and that no failure tells more
than it should.  Pure ASGI: answers that go on for minutes pass through it.
"""

import base64
import binascii
import json
import logging
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any
from urllib.parse import urlsplit

import anyio
from anyio.to_thread import run_sync
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from director_diffusion.studio.guarded import UNEXPECTED, place_of
from director_diffusion.studio.hosts import is_loopback
from director_diffusion.studio.users import Users
from director_diffusion.studio.visitors import USER

log = logging.getLogger(__name__)

PAGE = ("/", "/config", "/theme.css", "/favicon.ico", "/manifest.json", "/robots.txt")
PAGE_FOLDERS = ("/assets/", "/static/")
CALLS = (
    "info",
    "startup-events",
    "app_id",
    "login_check",
    "user",
    "theme.css",
    "queue/join",
    "queue/data",
    "cancel",
    "reset",
)
CALL_FOLDERS = ("heartbeat/",)
"""Of gradio's addresses below /gradio_api/, what the page and `gradio_client` need.  Uploads, proxies, recordings, deep
links and monitoring are not among them."""
KEPT_FILE = "file=/"  # a picture in gradio's own private folder; never a URL, which it would fetch
GUESSES = 16  # names and passwords that are hashed, or wait for it, some 50 ms each
HEADERS = {
    "content-security-policy": "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
}


_Refusal = tuple[int, str, dict[str, str]]
_UNNAMED: _Refusal = (401, "Name and password are needed.", {"www-authenticate": 'Basic realm="studio"'})
_CROWDED: _Refusal = (503, "Too many passwords are being checked. Try again in a moment.", {"retry-after": "1"})


class _TooLargeError(Exception):
    """The body has more bytes than are read."""


class Gate:
    """Middleware.  Without users only this machine's own names are answered, so that no foreign page reaches it by a
    name that it made to point here."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        users: Users | None,
        own: Collection[str],
        request_bytes: int,
        welcome: Callable[[Scope], str | None],
    ):
        """`own` are first words of addresses that tabs serve; `welcome` is a cookie for who opens the page."""
        self._app, self._users, self._own, self._most = app, users, frozenset(own), request_bytes
        self._welcome = welcome
        self._guesses = 0
        self._hashing = anyio.CapacityLimiter(1)  # a thread of their own: whoever guesses keeps nobody waiting

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        headers = Headers(scope=scope)
        if self._users is None and not is_loopback(_name(headers.get("host", ""))):
            await _refuse(send, 403, "This studio is open to its own machine alone: http://127.0.0.1")
        elif _from_elsewhere(headers, scope["method"]):
            await _refuse(send, 403, "The request came from another site's page.")
        elif self._users is not None and (refusal := await self._refusal(scope, headers, self._users)):
            await _refuse(send, *refusal)
        elif not self._is_known(scope["path"]):
            await _refuse(send, 404, "There is nothing at this address.")
        elif (
            headers.get("content-length", "0").isdecimal() and int(headers.get("content-length", "0")[:20]) > self._most
        ):
            await self._refuse_size(send)
        else:
            await self._pass_on(scope, receive, send)

    async def _refusal(self, scope: MutableMapping[str, Any], headers: Headers, users: Users) -> _Refusal | None:
        """None for a user, whom the scope names from then on."""
        scheme, _, given = headers.get("authorization", "").partition(" ")
        try:
            name, colon, password = base64.b64decode(given, validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            return _UNNAMED
        if scheme.lower() != "basic" or not colon:
            return _UNNAMED
        if not users.remembers(name, password):
            if self._guesses >= GUESSES:
                return _CROWDED
            self._guesses += 1
            try:
                if not await run_sync(users.knows, name, password, limiter=self._hashing):
                    return _UNNAMED
            finally:
                self._guesses -= 1
        scope[USER] = name
        return None

    def _is_known(self, path: str) -> bool:
        if not path.startswith("/"):  # OPTIONS * asks about the server as a whole
            return False
        if path in PAGE or path.startswith(PAGE_FOLDERS) or path.split("/")[1] in self._own:
            return True
        call = path.removeprefix("/gradio_api/").rstrip("/")
        return call != path and (call in CALLS or call.startswith((*CALL_FOLDERS, KEPT_FILE)))

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        started, failed, read = False, False, 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._most:
                raise _TooLargeError
            return message

        async def dressed(message: Message) -> None:
            nonlocal started, failed
            failed = failed or (message["type"] == "http.response.start" and message["status"] == 500)
            if not started and (failed or read > self._most):
                return  # somebody else's words for it: ours follow
            if message["type"] == "http.response.start":
                started = True
                fields = MutableHeaders(scope=message)
                if scope["path"] == "/" and (cookie := self._welcome(scope)):
                    fields.append("set-cookie", cookie)
                for name in [name for name in fields if name.startswith("access-control-")]:
                    del fields[name]  # gradio lets any site read a server that has a name
                for name, value in HEADERS.items():
                    fields.setdefault(name, value)  # a tab's own page may be stricter, or framed by ours
            await send(message)

        try:
            await self._app(scope, counted, dressed)
        except _TooLargeError:
            pass
        except Exception as error:  # noqa: BLE001 — uvicorn would log its words
            log.error("%s at %s", type(error).__name__, place_of(error))
            failed = True
        if not started and read > self._most:
            await self._refuse_size(send)
        elif not started and failed:
            await _refuse(send, 500, UNEXPECTED)

    async def _refuse_size(self, send: Send) -> None:
        await _refuse(
            send, 413, f"The request has more than {self._most // 1024} kB. Send less.", {"connection": "close"}
        )


async def _refuse(
    send: Callable[[Message], Awaitable[None]], status: int, problem: str, headers: dict[str, str] | None = None
) -> None:
    fields = {"content-type": "application/json", **HEADERS, **(headers or {})}
    raw = [(name.encode(), value.encode()) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": json.dumps({"detail": problem}).encode()})


def _name(host: str) -> str:
    """A Host header's name, without the port."""
    return host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host


def _from_elsewhere(headers: Headers, method: str) -> bool:
    """Whether another site's page asks, with this visitor's cookies or password.  It may link to what is here."""
    if method == "GET" and headers.get("sec-fetch-mode") == "navigate":
        return False
    origin = headers.get("origin")
    return headers.get("sec-fetch-site") == "cross-site" or (
        origin is not None and urlsplit(origin).netloc != headers.get("host")
    )
