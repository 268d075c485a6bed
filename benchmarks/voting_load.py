"""Many people voting at once over HTTP, as the page does.

Belongs here: what one voter's browser does (`vote`), and many of them side by side against a studio that is running.
Each reads what the page reads: the choices, then for every ballot its pictures and stills.

    python -m benchmarks.voting_load http://127.0.0.1:7860 --voters 50 --seconds 120
"""

import argparse
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median, quantiles

import requests

from benchmarks.bars import at_least, at_most, print_report, within
from director_diffusion.voting.ledger import Ledger

TIMEOUT_S = 60.0
MEDIAN_S = 0.2
ANSWERS = {"style": "A", "prompt": "tie"}


@dataclass
class Voted:
    """What one voter saw."""

    cast: list[str] = field(default_factory=list)  # tokens of the votes that were told as cast
    errors: list[str] = field(default_factory=list)
    seconds: dict[str, list[float]] = field(default_factory=lambda: {"next": [], "picture": [], "cast": []})


class Voter:
    """One browser with a pass of its own."""

    def __init__(self, url: str):
        self.seen = Voted()
        self._url, self._browser = url, requests.Session()
        self._kept: set[str] = set()  # stills in the browser's cache
        self._browser.get(f"{url}/vote/", timeout=TIMEOUT_S).raise_for_status()

    def vote(self, think_s: float = 0.0) -> bool:
        """See a pair, look at it and vote on it.  False where none is left."""
        response = self._timed("next", "POST", "next", {})
        ballot = response.json()
        if response.status_code == 200 and "token" not in ballot:
            return False
        if response.status_code != 200:
            return True  # an error, which is noted
        for name in (ballot["a"], ballot["b"]):
            self._timed("picture", "GET", f"picture/{name}")
        for name in set(ballot["stills"]) - self._kept:
            self._kept.add(name)
            self._timed("picture", "GET", f"still/{name}")
        time.sleep(think_s)
        if self._timed("cast", "POST", "cast", {"token": ballot["token"], **ANSWERS}).status_code == 200:
            self.seen.cast.append(ballot["token"])
        return True

    def _timed(self, what: str, method: str, path: str, sent: dict[str, str] | None = None) -> requests.Response:
        started = time.perf_counter()
        response = self._browser.request(method, f"{self._url}/vote/{path}", json=sent, timeout=TIMEOUT_S)
        self.seen.seconds[what].append(time.perf_counter() - started)
        if response.status_code != 200:
            self.seen.errors.append(f"{what}: {response.status_code} {response.text[:200]}")
        return response


def vote(url: str, stop: Callable[[], bool], *, think_s: float = 0.0, votes: int | None = None) -> Voted:
    """Vote at the studio `url` until `stop`, or so many times, or until no pair is left; with a pass of one's own."""
    voter = Voter(url)
    while not stop() and (votes is None or len(voter.seen.cast) < votes):
        if not voter.vote(think_s):
            break
    return voter.seen


def crowd(url: str, voters: int, seconds: float, *, think_s: float = 0.0) -> list[Voted]:
    """So many at once, for so long."""
    end, found = time.monotonic() + seconds, [Voted() for _ in range(voters)]

    def one(place: int) -> None:
        try:
            found[place] = vote(url, lambda: time.monotonic() > end, think_s=think_s)
        except (requests.RequestException, ValueError) as error:
            found[place].errors.append(f"voter {place} left: {type(error).__name__}: {error}")

    threads = [threading.Thread(target=one, args=(place,)) for place in range(voters)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--voters", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--think", type=float, default=0.0, help="seconds that each looks at a pair")
    parser.add_argument(
        "--ledger", metavar="URL", required=True, help="the studio's, where nobody else votes meanwhile"
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    ledger = Ledger(options.ledger)
    before = sum(ledger.counts().values())
    found = crowd(options.url.rstrip("/"), options.voters, options.seconds, think_s=options.think)
    cast, added = sum(len(one.cast) for one in found), sum(ledger.counts().values()) - before
    times = {what: [second for one in found for second in one.seconds[what]] for what in ("next", "picture", "cast")}
    errors = [error for one in found for error in one.errors]
    report = {
        "votes told as cast": cast,
        "errors": errors[:20],
        **{f"{what}, median ms": round(1000 * median(seconds), 1) for what, seconds in times.items()},
        **{f"{what}, 99 % ms": round(1000 * quantiles(seconds, n=100)[-1], 1) for what, seconds in times.items()},
        "bars": [
            at_most("errors", len(errors), 0),
            at_least("voters who voted", sum(bool(one.cast) for one in found), options.voters),
            within("votes in the ledger", added, cast, cast),
            at_most("median vote, s", median(times["cast"]), MEDIAN_S),
        ],
    }
    return print_report(report, as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
