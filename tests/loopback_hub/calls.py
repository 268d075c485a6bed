"""Calls and answers of the loopback Hub.

Belongs here: plain requests and responses, whatever they are about.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Call:
    """A request, read."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]  # lower-case names
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, data: Any, status: int = 200, **headers: str) -> "Answer":
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls(status, json.dumps(data).encode(), {"Content-Type": "application/json; charset=utf-8", **named})

    @classmethod
    def error(cls, status: int, message: str, code: str = "") -> "Answer":
        headers = {"X_Error_Message": message} | ({"X_Error_Code": code} if code else {})
        return cls.of({"error": message}, status, **headers)


class RefusedError(Exception):
    def __init__(self, answer: Answer):
        super().__init__(answer)
        self.answer = answer


def read_call(method: str, target: str, headers: dict[str, str], body: bytes) -> Call:
    url = urlsplit(target)
    return Call(method, url.path, {name: values[-1] for name, values in parse_qs(url.query).items()}, headers, body)


def part_of(content: bytes, call: Call, headers: dict[str, str]) -> Answer:
    """The content, or the range of it that was asked for."""
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", call.headers.get("range", ""))
    if asked is None:
        return Answer(200, content, headers)
    first, last = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
    where = {"Content-Range": f"bytes {first}-{last}/{len(content)}"}
    return Answer(206, content[first : last + 1], headers | where)


At = dict[str, str]  # what a route's pattern found in a path
Route = tuple[str, str, str, Callable[[Call, At], Answer]]  # kind, method, pattern, answer

REPO = r"(?P<repo>[\w.-]+/[\w.-]+)"
MODEL = f"/api/models/{REPO}"
REVISION = r"(?P<revision>[^/]+)"
