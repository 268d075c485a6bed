"""A visitor of the studio who speaks gradio's protocol and sends whatever it likes."""

import itertools
import json
import time
from dataclasses import dataclass
from typing import Any

import httpx

PATIENCE_S = 300  # on a busy machine the first picture waits minutes for its libraries


@dataclass(frozen=True)
class Said:
    """What came of a call: what it shows, or why not."""

    status: int  # of the HTTP answer to the call itself
    shown: list[Any] | None
    problem: str


class Visitor:
    """Calls by name, each in a session of its own."""

    _sessions = itertools.count()

    def __init__(self, client: httpx.Client):
        self.client = client
        client.get("/").raise_for_status()
        dependencies = client.get("/config").raise_for_status().json()["dependencies"]
        self.calls: dict[str, int] = {one["api_name"]: one["id"] for one in dependencies}

    @property
    def cookies(self) -> str:
        """As a browser sends them."""
        return "; ".join(f"{name}={value}" for name, value in self.client.cookies.items())

    def call(self, name: str, *data: object) -> Said:
        """As the page calls it."""
        return self.post({"data": data, "fn_index": self.calls[name]})

    def post(self, body: dict[str, Any]) -> Said:
        """Any body of a call; one without a session has one of its own."""
        body = {"session_hash": f"session-{next(self._sessions)}", **body}
        session, text = body["session_hash"], json.dumps(body)  # NaN and lone surrogates are written too
        answer = self.client.post("/gradio_api/queue/join", content=text, headers={"content-type": "application/json"})
        if answer.status_code != 200:
            return Said(answer.status_code, None, answer.json()["detail"])
        event, end = answer.json()["event_id"], time.monotonic() + PATIENCE_S
        with self.client.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}) as stream:
            for line in stream.iter_lines():
                assert time.monotonic() < end, "no answer"
                message = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
                if message.get("msg") == "process_completed" and message["event_id"] == event:
                    output = message["output"]
                    return Said(200, output.get("data"), output.get("error") or "")
        raise AssertionError("the answer broke off")
