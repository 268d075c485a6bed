"""huggingface_hub's HTTP client, made careful: every request bounded, no second try, no token in what is told.

Belongs here: what one request may take and what its failure is called.  When a whole publication is tried again is the
hub's to decide: it alone knows that looking comes before sending twice.

Left to itself huggingface_hub sets no timeout on most requests, repeats some up to five times, waits as long as a
`Retry-After` says, and asks without end while a repository is being made by somebody else.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from httpx2 import Request, Response

PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})  # HTTP statuses that may be others the next time
FORBIDDEN = frozenset({401, 403})
_BEING_MADE = "another conflicting operation is in progress"  # in a 409 that huggingface_hub would repeat without end
HIDDEN = "<token>"


class RequestError(Exception):
    """A request that the hub, or the way to it, did not answer as asked.  Without an answer it may have been obeyed."""

    def __init__(self, problem: str, *, forbidden: bool = False, wait_s: float = 0.0):
        super().__init__(problem)
        self.problem = problem
        self.forbidden = forbidden  # the token may not do this
        self.wait_s = wait_s  # how long the hub asks to be left alone


@contextmanager
def careful_client(token: str, timeout_s: float) -> Iterator[None]:
    """Within, requests of huggingface_hub in this process raise RequestError as soon as one fails.

    `timeout_s` bounds each connection, each read and each write.  The client is otherwise the user's own (proxies,
    certificates), and is put back at the end.  It is the whole process's, so one publication at a time.
    """
    from huggingface_hub import set_client_factory
    from huggingface_hub.utils import _http

    usual = _http._GLOBAL_CLIENT_FACTORY

    def make_careful() -> Any:
        client = usual()
        client.send = partial(_send, client.send, token, timeout_s)  # type: ignore[method-assign]
        return client

    set_client_factory(make_careful)
    try:
        with _hidden_in_logs(token):
            yield
    finally:
        set_client_factory(usual)


@contextmanager
def _hidden_in_logs(token: str) -> Iterator[None]:
    """HTTP libraries log headers at DEBUG, also those in which a server quotes the token."""
    usual = logging.getLogRecordFactory()

    def make_record(*args: Any, **options: Any) -> logging.LogRecord:
        record = usual(*args, **options)
        told = f"{record.msg} {record.args}"  # not put together: a record that cannot be is logging's to tell
        if token in told:
            record.msg, record.args = told.replace(token, HIDDEN), None
        return record

    logging.setLogRecordFactory(make_record)
    try:
        yield
    finally:
        logging.setLogRecordFactory(usual)


def _send(
    send: Callable[..., "Response"], token: str, timeout_s: float, request: "Request", **options: Any
) -> "Response":
    """As httpx's `Client.send`.  What is raised has no other error behind it: those hold requests with the token."""
    import httpx2

    request.extensions["timeout"] = dict.fromkeys(("connect", "read", "write", "pool"), timeout_s)
    try:
        response = send(request, **options)
        if response.status_code >= 400:
            response.read()
    except httpx2.RequestError as error:
        unanswered = f"{request.method} {request.url.path}: no answer ({type(error).__name__})"
    else:
        return response if response.status_code < 400 else _refusal(response, token)
    raise RequestError(unanswered)


def _refusal(response: "Response", token: str) -> "Response":
    """An answer of 400 or more without the token, which servers like to quote; raises where nobody need look at it."""
    from httpx2 import Response

    kept = ("content-type", "x-error-code", "x-error-message", "x-request-id")
    refusal = Response(
        response.status_code,
        headers={name: response.headers[name].replace(token, HIDDEN) for name in kept if name in response.headers},
        content=response.text.replace(token, HIDDEN).encode(),
        request=response.request,
    )
    status = refusal.status_code
    if status in PASSING or status in FORBIDDEN or (status == 409 and _BEING_MADE in refusal.text):
        said = f"{refusal.request.method} {refusal.request.url.path}: HTTP {status}"
        words = server_words(refusal)
        # Storage is written to by signed URLs, which expire: it is not the token that is refused there.
        forbidden = status in FORBIDDEN and "authorization" in refusal.request.headers
        raise RequestError(f"{said}, {words}" if words else said, forbidden=forbidden, wait_s=_wait(response))
    return refusal


def server_words(response: "Response") -> str:
    """What the server says about its refusal, in one line; "" where it says nothing."""
    from huggingface_hub import hf_raise_for_status
    from huggingface_hub.errors import HfHubHTTPError

    try:
        hf_raise_for_status(response)
    except HfHubHTTPError as error:
        return " ".join((error.server_message or "").split())
    return ""


def _wait(response: "Response") -> float:
    """Seconds that the hub asks to be left alone, by its rate limit or `Retry-After`; 0 where it names none."""
    from huggingface_hub.utils import parse_ratelimit_headers  # type: ignore[attr-defined]

    limit = parse_ratelimit_headers(response.headers)
    if limit is not None and limit.remaining == 0:
        return float(limit.reset_in_seconds)
    after = response.headers.get("retry-after", "").strip()
    return float(after) if after.isdigit() else 0.0
