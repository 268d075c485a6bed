"""A real S3 server on loopback: moto's, with every request noted, and with faults where a test asks for them."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from moto.core import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import MotoRequestHandler, create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import make_server

Fault = Literal["throttled", "failing", "slow", "reset", "lost", "cut"]
FAULTS: tuple[Fault, ...] = ("throttled", "failing", "slow", "reset", "lost", "cut")
SLOW_S = 0.05
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "a-secret-of-this-test"}
_BODY = "<?xml version='1.0'?><Error><Code>{}</Code><Message>As asked.</Message></Error>"
_STATUS = {"throttled": "503 Slow Down", "failing": "500 Internal Server Error"}
_CODES = {"throttled": "SlowDown", "failing": "InternalError"}


class _HungUpError(ConnectionError):
    """Instead of an answer, or of its rest: werkzeug takes it for a connection that dropped, and closes it."""


@dataclass
class S3Server:
    """Where it is, what it was asked, and what it does wrong: each request fails in one of `faults` at `rate`."""

    url: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)  # method, path with its query
    faults: tuple[Fault, ...] = ()
    rate: float = 0.0
    done: Counter[str] = field(default_factory=Counter)  # faults
    _random: random.Random = field(default_factory=lambda: random.Random(0))

    @property
    def environment(self) -> dict[str, str]:
        """What botocore is to find."""
        return {**KEYS, "AWS_ENDPOINT_URL": self.url, "AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}

    def client(self) -> Any:
        """boto3's, past this project."""
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        )

    def put(self, bucket: str, key: str) -> None:
        """An empty object, without a request."""
        s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object(bucket, key, b"")

    @contextmanager
    def counted(self) -> Iterator[list[tuple[str, str]]]:
        """The requests of a while."""
        before, found = len(self.asked), list[tuple[str, str]]()
        yield found
        found += self.asked[before:]

    @contextmanager
    def failing(self, *faults: Fault, rate: float, seed: int = 0) -> Iterator[Counter[str]]:
        """What fails in a while, and how often it did."""
        self.faults, self.rate, self._random, self.done = faults, rate, random.Random(seed), Counter()
        try:
            yield self.done
        finally:
            self.faults, self.rate = (), 0.0

    def serve(self, app: Callable[..., Iterable[bytes]], environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        query = environ.get("QUERY_STRING", "")
        self.asked.append((environ["REQUEST_METHOD"], environ["PATH_INFO"] + (f"?{query}" if query else "")))
        fault = self._random.choice(self.faults) if self.faults and self._random.random() < self.rate else None
        if fault is None:
            return app(environ, start)
        self.done[fault] += 1
        if fault in _STATUS:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start(_STATUS[fault], [("Content-Type", "application/xml")])
            return [] if environ["REQUEST_METHOD"] == "HEAD" else [_BODY.format(_CODES[fault]).encode()]
        if fault == "slow":
            time.sleep(SLOW_S)
            return app(environ, start)
        if fault == "reset":
            raise _HungUpError
        answer = b"".join(app(environ, start))
        if fault == "lost" or len(answer) < 2:
            raise _HungUpError
        return self._half(answer)

    def _half(self, answer: bytes) -> Iterator[bytes]:
        yield answer[: len(answer) // 2]
        raise _HungUpError


class _Handler(MotoRequestHandler):
    def connection_dropped(self, error: BaseException, environ: dict[str, Any] | None = None) -> None:
        self.close_connection = True

    def log(self, type: str, message: str, *args: Any) -> None:
        """Tests ask what was `asked`."""


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Serve until the end of the block."""
    # Not moto's own dispatcher, which looks through all of AWS at each request: half of what one cost.
    app, server = create_backend_app("s3"), S3Server()

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        return server.serve(app, environ, start)

    serving = make_server("127.0.0.1", 0, answer, threaded=True, request_handler=_Handler)
    server.url = f"http://127.0.0.1:{serving.server_port}"
    thread = threading.Thread(target=serving.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        serving.shutdown()
        thread.join()
