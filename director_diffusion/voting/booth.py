"""The booth: hands out pairs, and takes votes.

Belongs here: which pair a voter gets, on which sides, and what a vote must be to be written down.  Every page and every
API over it asks this class, which trusts nothing that it is given.

Everything that leaves it is shown (two pictures, words, stills), or is a mark made with a key that does not leave it:

- A ballot's token is a mark of voter and pair.  Nobody can make one, use another voter's, or read an arm or side in it.
- The sides are another mark's first bit: without the key they are a fair coin, and a reload does not turn them.
- A picture's name is random, and a mark of the picture under it: of two names nobody can tell whether they are one
  picture's.

Voters are written down under a pseudonym, a mark too: with the ledger alone nobody can tell who voted, nor by trying
names.  A picture is served as its pixels, encoded anew; its file's name, time and metadata stay behind.
"""

import base64
import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from PIL import Image

from director_diffusion.errors import VoteError
from director_diffusion.sampling.images import open_picture, png_bytes
from director_diffusion.voting.exhibition import Exhibition, Show
from director_diffusion.voting.given import PASS, checked_answers, checked_slug, checked_token, checked_voter
from director_diffusion.voting.ledger import Ledger, Vote
from director_diffusion.voting.pairs import Pair, Shown
from director_diffusion.voting.questions import QUESTIONS_VERSION
from director_diffusion.voting.secrets import Marks

STILLS_SHOWN = 4
STILL_WIDTH = 768  # pixels at most: a look at the style needs no more
TALLY_S = 1.0  # for so long counts of votes may be behind: they only order what is offered
KEPT_BYTES = 64 * 2**20  # of encoded pictures, in memory
_NONCE = 12  # bytes: of so many random names no two are the same


@dataclass(frozen=True)
class Ballot:
    """What a voter is shown.  It names neither arms nor files."""

    token: str  # to be given back with the answers
    director: str
    prompt: str
    a: str  # names of pictures, for `Booth.picture`
    b: str
    stills: tuple[str, ...]  # names of pictures too
    left: int  # pairs that this voter has not voted on, with this one


class Booth:
    """Votes on what an exhibition shows, into a ledger, under one key.  It may be shared by threads."""

    def __init__(self, ledger: Ledger, exhibition: Exhibition, key: bytes):
        self._ledger, self._exhibition, self._marks = ledger, exhibition, Marks(key)
        self._lock, self._counting = threading.Lock(), threading.Lock()
        self._tally: dict[str, int] = {}
        self._tallied = float("-inf")
        self._encoded: OrderedDict[tuple[str, str], bytes] = OrderedDict()

    def admit(self) -> str:
        """A new pass, for a voter without a name: to be kept in a cookie, and turned into a voter by `voter_of`."""
        name = secrets.token_hex(16)
        return f"{name}{_text(self._marks.mark('pass', name))}"

    def voter_of(self, given: object) -> str:
        """The voter whom a pass was made for.  Raises VoteError for one that was not made here."""
        text = checked_token(given, "pass")
        name, mark = text[:32], text[32:]
        if not hmac.compare_digest(mark, _text(self._marks.mark("pass", name))):
            raise VoteError("pass", "was not made here", "Reload the page to get a new one.")
        return f"{PASS}{name}"

    def next_ballot(self, voter: object, *, director: object = None, recipe: object = None) -> Ballot | None:
        """The pair that this voter is asked about next, of any director and recipe or of the given ones.

        None where the voter has voted on all.  Offered first are pairs whose pictures the voter has not voted on in
        another pair (there, the picture that comes back would be known as the adapter's), of these the ones with the
        fewest votes, of these any.  Asked again without a vote, the answer is the same as long as others do not vote.
        """
        name = checked_voter(voter)
        wanted = [None if one is None else checked_slug(one) for one in (director, recipe)]
        show, cast = self._exhibition.now(), self._ledger.votes_by(self._pseudonym(name))
        done, seen = {vote.pair for vote in cast}, {picture for vote in cast for picture in (vote.a, vote.b)}
        left = [pair for pair in show.pairs.values() if pair.identity not in done and _is_of(pair, *wanted)]
        if not left:
            return None
        tally = self._counted()

        def order(pair: Pair) -> tuple[int, int, bytes]:
            known = sum(shown.sha256 in seen for shown in pair.pictures)
            return known, tally.get(pair.identity, 0), self._marks.mark("order", name, pair.identity)

        return self._ballot(name, min(left, key=order), show, len(left))

    def cast(self, voter: object, token: object, answers: object) -> None:
        """Write a vote down.  Raises AlreadyVotedError for a second one on a pair, VoteError for a token that was not
        made for this voter, or whose pair is no longer on show, and for anything else than an answer to each question.
        """
        name, mark, said = checked_voter(voter), checked_token(token, "ballot"), checked_answers(answers)
        pair = self._pair_of(name, mark)
        a, b = self._sides(name, pair)
        self._ledger.add(
            Vote(
                voter=self._pseudonym(name),
                pair=pair.identity,
                director=pair.director,
                questions=QUESTIONS_VERSION,
                a=a.sha256,
                b=b.sha256,
                style=said["style"],
                prompt=said["prompt"],
                at=datetime.now(UTC).isoformat(timespec="seconds"),
            )
        )

    def picture(self, given: object) -> bytes:
        """The PNG under a name that a ballot gave.  Raises VoteError for any other name."""
        text = checked_token(given, "picture")
        nonce, mark = text[: 2 * _NONCE], text[2 * _NONCE :]
        show = self._exhibition.now()

        def is_meant(*what: str) -> bool:
            return hmac.compare_digest(mark, _text(self._marks.mark("picture", nonce, *what)))

        for sha256, shown in show.pictures.items():
            if is_meant("sample", sha256):
                return self._sample(shown)
        for director, still_set in show.stills.items():
            for still in show.judging(director):
                if is_meant("still", still.still):
                    return self._png(("still", still.still), lambda: _small(still_set.open(still)))  # noqa: B023
        raise VoteError("picture", "has no such name, or is no longer on show", "Take the next pair.")

    def _ballot(self, voter: str, pair: Pair, show: Show, left: int) -> Ballot:
        a, b = self._sides(voter, pair)
        for shown in (a, b):  # both are there before either is asked for: which one takes longer tells nothing then
            self._sample(shown)
        stills = sorted(
            show.judging(pair.director), key=lambda still: self._marks.mark("stills", pair.identity, still.still)
        )
        return Ballot(
            token=self._token(voter, pair),
            director=pair.director,
            prompt=pair.prompt,
            a=self._name("sample", a.sha256),
            b=self._name("sample", b.sha256),
            stills=tuple(self._name("still", still.still) for still in stills[:STILLS_SHOWN]),
            left=left,
        )

    def _pseudonym(self, voter: str) -> str:
        return self._marks.mark("voter", voter).hex()

    def _token(self, voter: str, pair: Pair) -> str:
        return _text(self._marks.mark("ballot", voter, pair.identity))

    def _pair_of(self, voter: str, token: str) -> Pair:
        for pair in self._exhibition.now().pairs.values():
            if hmac.compare_digest(token, self._token(voter, pair)):
                return pair
        raise VoteError(
            "ballot", "was not handed to this voter, or its pictures are no longer on show", "Take the next pair."
        )

    def _sides(self, voter: str, pair: Pair) -> tuple[Shown, Shown]:
        """The pictures as shown: A, B."""
        one, other = sorted(pair.pictures, key=lambda shown: shown.sha256)
        turned = self._marks.mark("sides", voter, pair.identity)[0] & 1
        return (other, one) if turned else (one, other)

    def _name(self, *what: str) -> str:
        nonce = secrets.token_hex(_NONCE)
        return f"{nonce}{_text(self._marks.mark('picture', nonce, *what))}"

    def _counted(self) -> dict[str, int]:
        # One thread counts, while the others go by the counts before.
        if time.monotonic() - self._tallied >= TALLY_S and self._counting.acquire(blocking=False):
            try:
                self._tally, self._tallied = self._ledger.tally(), time.monotonic()
            finally:
                self._counting.release()
        return self._tally

    def _sample(self, shown: Shown) -> bytes:
        return self._png(("sample", shown.sha256), lambda: open_picture(self._exhibition.store, shown.reference))

    def _png(self, key: tuple[str, str], picture: Callable[[], Image.Image]) -> bytes:
        with self._lock:
            if key in self._encoded:
                self._encoded.move_to_end(key)
                return self._encoded[key]
        data = png_bytes(picture())
        with self._lock:
            self._encoded[key] = data
            while len(self._encoded) > 1 and sum(map(len, self._encoded.values())) > KEPT_BYTES:
                self._encoded.popitem(last=False)
        return data


def _is_of(pair: Pair, director: str | None, recipe: str | None) -> bool:
    return director in (None, pair.director) and (
        recipe is None or any(shown.side.recipe == recipe for shown in pair.pictures)
    )


def _small(image: Image.Image) -> Image.Image:
    if image.width <= STILL_WIDTH:
        return image
    return image.resize((STILL_WIDTH, max(1, round(image.height * STILL_WIDTH / image.width))))


def _text(mark: bytes) -> str:
    return base64.urlsafe_b64encode(mark).decode().rstrip("=")
