"""The booth: hands out pairs, and takes votes.

Belongs here: which pair a voter gets, on which sides, and what a vote must be to be written down.  Every page and every
API over it asks this class, which trusts nothing that it is given.

Everything that leaves it is shown (two pictures, words, stills), or is a mark made with a key that does not leave it:

- A ballot's token is a mark of voter and pair.  Nobody can make one, use another voter's, or read an arm or side in it.
- The sides are another mark's first bit: without the key they are a fair coin, and a reload does not turn them.
- A picture's name is random, and a mark of the picture under it: of two names nobody can tell whether they are one
  picture's.  A still, of which there is no arm to tell, has one name for each voter.

Voters are written down under a pseudonym, a mark too: with the ledger alone nobody can tell who voted, nor by trying
names.  A picture is served as its pixels, encoded anew; its file's name, time and metadata stay behind.
"""

import base64
import hmac
import logging
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from PIL import Image

from director_diffusion.errors import EvaluationError, StoreError, VoteError
from director_diffusion.kept import KeptBytes
from director_diffusion.sampling.images import open_picture, png_bytes
from director_diffusion.voting.exhibition import Exhibition, Show
from director_diffusion.voting.given import PASS, checked_answers, checked_slug, checked_token, checked_voter
from director_diffusion.voting.ledger import Ledger, Vote
from director_diffusion.voting.pairs import Pair, Shown
from director_diffusion.voting.questions import QUESTIONS_VERSION
from director_diffusion.voting.secrets import Marks

STILLS_SHOWN = 4
STILL_WIDTH = 768  # pixels at most: a look at the style needs no more
LOST_S = 60.0  # a picture that was not there is looked for again after so long
TALLY_S = 1.0  # for so long counts of votes may be behind: they only order what is offered
REMEMBERED = 20_000  # of what was handed out
QUICK = 1  # of PNG's levels: half the time for a seventh more bytes
KEPT_BYTES = 256 * 2**20  # of encoded pictures, in memory
_NONCE = 12  # bytes: of so many random names no two are the same

log = logging.getLogger(__name__)


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
        self._counting = threading.Lock()
        self._tally: dict[str, int] = {}
        self._tallied = float("-inf")
        self._encoded: KeptBytes[tuple[str, str]] = KeptBytes(KEPT_BYTES)
        self._pictures, self._ballots = Handed(), Handed()
        self._lost: dict[str, float] = {}  # when a picture could not be shown, by its hash

    def on_show(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Directors and recipes that there are pairs of, sorted."""
        pairs = self._exhibition.now().pairs.values()
        recipes = {shown.side.recipe for pair in pairs for shown in pair.pictures}
        return tuple(sorted({pair.director for pair in pairs})), tuple(sorted(recipes))

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

        None where the voter has voted on all that can be shown: pairs of a picture that is gone or damaged are left
        out.  Offered first are pairs whose pictures the voter has not voted on in another pair (there, the picture that
        comes back would be known as the adapter's), of these the ones with the fewest votes, of these any.  Asked again
        without a vote, the answer is the same as long as others do not vote.
        """
        name = checked_voter(voter)
        wanted = [None if one is None else checked_slug(one) for one in (director, recipe)]
        show, cast = self._exhibition.now(), self._ledger.votes_by(self._pseudonym(name))
        done, seen = {vote.pair for vote in cast}, {picture for vote in cast for picture in (vote.a, vote.b)}
        left = [
            pair
            for pair in show.pairs.values()
            if pair.identity not in done and _is_of(pair, *wanted) and not any(map(self._is_lost, pair.pictures))
        ]
        if not left:
            return None
        tally, mine = self._counted(), Marks(self._marks.mark("order", name))

        def turn(pair: Pair) -> tuple[int, int, bytes]:
            known = sum(shown.sha256 in seen for shown in pair.pictures)
            return known, tally.get(pair.identity, 0), mine.mark("pair", pair.identity)

        for number, pair in enumerate(sorted(left, key=turn)):
            # Both are there before either is asked for: which one takes longer tells nothing then.
            if all(map(self._can_be_shown, pair.pictures)):
                return self._ballot(name, pair, show, len(left) - number)
        return None

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

        def is_meant(what: tuple[str, str]) -> bool:
            return hmac.compare_digest(mark, _text(self._marks.mark("picture", nonce, *what)))

        what = self._pictures.find(text)
        if what not in show.named:
            what = next((one for one in show.named if is_meant(one)), None)
        if what is None:
            raise VoteError("picture", "has no such name, or is no longer on show", "Take the next pair.")
        self._pictures.add(text, what)
        found = show.named[what]
        return self._sample(found) if isinstance(found, Shown) else self._png(what, lambda: _small(found.open()))

    def _ballot(self, voter: str, pair: Pair, show: Show, left: int) -> Ballot:
        a, b = self._sides(voter, pair)
        stills = sorted(
            show.judging(pair.director), key=lambda still: self._marks.mark("stills", pair.identity, still.still)
        )
        token = self._token(voter, pair)
        self._ballots.add(token, ("pair", pair.identity))
        return Ballot(
            token=token,
            director=pair.director,
            prompt=pair.prompt,
            a=self._name("sample", a.sha256),
            b=self._name("sample", b.sha256),
            stills=tuple(self._name("still", still.still, known_to=voter) for still in stills[:STILLS_SHOWN]),
            left=left,
        )

    def _pseudonym(self, voter: str) -> str:
        return self._marks.mark("voter", voter).hex()

    def _token(self, voter: str, pair: Pair) -> str:
        return _text(self._marks.mark("ballot", voter, pair.identity))

    def _pair_of(self, voter: str, token: str) -> Pair:
        pairs, (_, identity) = self._exhibition.now().pairs, self._ballots.find(token) or ("", "")
        likely = [pairs[identity]] if identity in pairs else []
        for pair in (*likely, *pairs.values()):
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

    def _name(self, kind: str, which: str, *, known_to: str = "") -> str:
        """A name for once; of what a voter sees again and again, one for that voter, so that a browser can keep it."""
        own = self._marks.mark("nonce", known_to, kind, which)[:_NONCE] if known_to else secrets.token_bytes(_NONCE)
        nonce = own.hex()
        name = f"{nonce}{_text(self._marks.mark('picture', nonce, kind, which))}"
        self._pictures.add(name, (kind, which))
        return name

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

    def _is_lost(self, shown: Shown) -> bool:
        """Whether it could not be shown a moment ago."""
        return time.monotonic() - self._lost.get(shown.sha256, float("-inf")) < LOST_S

    def _can_be_shown(self, shown: Shown) -> bool:
        """Whether it is there and whole.  A store that cannot be reached raises, as it does everywhere."""
        try:
            self._sample(shown)
        except (StoreError, EvaluationError) as error:
            if shown.sha256 not in self._lost:
                log.error("a picture to vote on cannot be shown: %s", error)
            self._lost[shown.sha256] = time.monotonic()
            return False
        self._lost.pop(shown.sha256, None)
        return True

    def _png(self, key: tuple[str, str], picture: Callable[[], Image.Image]) -> bytes:
        if (data := self._encoded.find(key)) is None:
            data = png_bytes(picture(), QUICK)
            self._encoded.add(key, data)
        return data


class Handed:
    """What was handed out lately, by its mark: known without trying the key on everything that is on show.

    What another process handed out, or this one long ago, is found by trying.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: OrderedDict[str, tuple[str, str]] = OrderedDict()

    def add(self, mark: str, what: tuple[str, str]) -> None:
        """Remember it; what was handed out longest ago leaves."""
        with self._lock:
            self._found[mark] = what
            self._found.move_to_end(mark)
            if len(self._found) > REMEMBERED:
                self._found.popitem(last=False)

    def find(self, mark: str) -> tuple[str, str] | None:
        """What was handed out under that mark, if it is remembered."""
        with self._lock:
            return self._found.get(mark)


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
