"""The studio: what every tab may use.

Belongs here: plain types.  Imports neither gradio nor torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from director_diffusion.specs import Director, EvaluationPlan, Recipe
from director_diffusion.storage import Store
from director_diffusion.studio.shelf import Shelf

if TYPE_CHECKING:
    from PIL.Image import Image

    from director_diffusion.captions.judging import Judge
    from director_diffusion.voting.booth import Booth


SHOWN_S = 1.0  # for so long a page may show what was listed for another one


@dataclass(frozen=True)
class Limits:
    """How much one visitor, and all together, may ask for."""

    request_bytes: int = 256 * 1024  # of one request's body
    queued: int = 64  # calls that wait, of all visitors; those that run are not counted
    at_once: int = 8  # calls of one tab's handler side by side, but for drawing, which has one slot
    waiting: int = 16  # orders that wait for the slot
    each: int = 4  # of these, and of the one that is drawn, of one visitor
    wait_s: float = 120.0  # for so long each of them waits
    sessions: int = 256  # open pages whose last values the server keeps
    prompt: int = 1000  # characters
    steps: int = 50
    strength: float = 2.0  # of an adapter, either way
    blend: int = 4  # adapters at once


@dataclass(frozen=True)
class Layer:
    """A director's adapter at a strength."""

    director: str
    strength: float = 1.0


@dataclass(frozen=True)
class Order:
    """A picture that somebody asks for.  `orders.Bounds` makes them of what a browser sent."""

    recipe: str
    layers: tuple[Layer, ...]  # () is the bare base, really without an adapter
    prompt: str  # as typed: triggers are put before it
    seed: int
    steps: int
    turbo: bool = False  # with the one layer's student of so many steps on top of it


@dataclass(frozen=True)
class Picture:
    """What was drawn."""

    image: "Image"
    prompt: str  # in full, with triggers
    steps: int
    seconds: float  # without the time in the queue


class Desk(Protocol):
    """Draws.  It may be shared by threads; one picture is drawn at a time."""

    def directors(self, recipe: str) -> Sequence[str]:
        """Those with an adapter of this recipe that may be used, as they were `SHOWN_S` ago at most.

        Raises StoreError where the store cannot be read.
        """

    def students(self, recipe: str, director: str) -> Sequence[int]:
        """Numbers of steps that there are few-step students for.

        Raises OrderError where the director has no adapter of this recipe that may be used.
        """

    def warm_up(self) -> None:
        """Do beforehand what the first drawing would wait for.  Reads nothing from a network."""

    def draw(self, orders: Sequence[Order], visitor: str) -> list[Picture]:
        """A picture per order, all in one turn of this visitor's.  Orders are within bounds: `orders.Bounds` made them.

        Raises OrderError for what there is not, QueueFullError where too many wait, or too many of this visitor's,
        StoreError, ModelError and
        EvaluationError as drawing does.
        """


@dataclass(frozen=True)
class Studio:
    """Everything that a tab may use; all of it may be shared by threads."""

    store: Store
    directors: Mapping[str, Director]  # of the project, as everything below
    recipes: Mapping[str, Recipe]
    plan: EvaluationPlan
    booth: "Booth | None"  # None: this deployment has no ledger of votes
    desk: Desk
    judge: "Judge"  # of captions
    shelf: Shelf = field(default_factory=Shelf)
    limits: Limits = Limits()
