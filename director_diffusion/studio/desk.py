"""The desk: one place to draw at, for everybody.

Belongs here: one pipeline in memory whose adapters are swapped, and whose turn it is.  What is drawn with is found by
`sampling.ways`.  torch is imported at the first drawing, or by `warm_up`: the page is to be up at once.
"""

import gc
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from director_diffusion.errors import DevicesBusyError, EvaluationError, OrderError, QueueFullError
from director_diffusion.sampling.samplers import plan_sampler
from director_diffusion.sampling.ways import AdapterStack, Kept, Way, check_length, kept_of, way_in, with_trigger
from director_diffusion.specs import Base, Director, EvaluationPlan, Recipe
from director_diffusion.storage import Store
from director_diffusion.storage.artifact import usable_artifacts
from director_diffusion.storage.watched import Watched
from director_diffusion.studio.slot import Slot
from director_diffusion.studio.studio import SHOWN_S, Limits, Order, Picture

if TYPE_CHECKING:
    from director_diffusion.families.base import Painter


ADAPTER = "adapter"


@dataclass
class _Opened:
    """A base in memory, and what is attached to it."""

    base: Base
    folder: Path
    painter: "Painter"
    count: Callable[[str], int]  # tokens
    attached: tuple[tuple[Path, float], ...] | None = ()  # None: not known, an attaching failed


class OneDesk:
    """`studio.Desk` with one slot, one base in memory, and a plan that says sizes and guidance."""

    def __init__(
        self,
        store: Store,
        directors: Mapping[str, Director],
        recipes: Mapping[str, Recipe],
        bases: Mapping[str, Base],
        plan: EvaluationPlan,
        folder_of: Callable[[Base], Path],
        *,
        lend: Callable[[], AbstractContextManager[str]],
        limits: Limits,
        idle_s: float | None = None,
    ):
        """`folder_of` resolves a base to the folder that holds it; `lend` gives a device to draw on.

        It is given back, and the base leaves it, when nobody has drawn for `idle_s`; None: never.
        """
        self._lend, self._idle_s = lend, idle_s
        self._device, self._lent = "", ExitStack()  # for as long as a base is in memory, another one after it too
        self._idle: threading.Timer | None = None
        self._store, self._directors, self._recipes, self._bases = store, directors, recipes, bases
        self._plan, self._folder_of = plan, folder_of
        self._slot = Slot(waiting=limits.waiting, each=limits.each, wait_s=limits.wait_s)
        self._opened: _Opened | None = None
        self._worn: dict[tuple[str, str], AdapterStack] = {}
        adapters = [(recipe, ADAPTER) for recipe in recipes]
        self._listed = Watched(store, adapters, list(directors), self._list, every_s=SHOWN_S, most_s=SHOWN_S)

    def directors(self, recipe: str) -> Sequence[str]:
        """See `studio.Desk`."""
        return self._listed.now()[recipe]

    def students(self, recipe: str, director: str) -> Sequence[int]:
        """See `studio.Desk`."""
        return self._kept(recipe, director).step_counts

    def warm_up(self) -> None:
        """Import what drawing needs, so that the first picture does not wait for it."""
        import director_diffusion.families.flux.drawing
        import director_diffusion.families.unet.drawing  # noqa: F401

    def draw(self, orders: Sequence[Order], visitor: str) -> list[Picture]:
        """See `studio.Desk`."""
        worn = {(order.recipe, layer.director) for order in orders for layer in order.layers}
        kept = {one: self._kept(*one) for one in worn}  # read beforehand: nobody waits for the store's answers
        with self._slot.taken(visitor), self._on_a_device():
            return [self._drawn(order, kept) for order in orders]

    def _list(self) -> Mapping[str, Sequence[str]]:
        return {
            recipe: tuple(usable_artifacts(self._store, (recipe, ADAPTER), self._directors)) for recipe in self._recipes
        }

    def _drawn(self, order: Order, kept: Mapping[tuple[str, str], Kept]) -> Picture:
        base = self._bases[self._recipes[order.recipe].base].drawn_with
        way = self._way(order, base, kept)
        opened = self._open(base)
        (prompt,) = way.prompts
        try:
            check_length(prompt, opened.count, base)
        except EvaluationError as error:
            raise OrderError("prompt", error.problem, error.way_out) from error
        started = time.perf_counter()
        self._attach(opened, way)
        (image,) = opened.painter.draw([prompt], [order.seed], **vars(way.sampler))
        return Picture(image, prompt, way.sampler.steps, time.perf_counter() - started)

    def _way(self, order: Order, base: Base, kept: Mapping[tuple[str, str], Kept]) -> Way:
        """Adapters at strength 0 are not worn; a student is worn whole on top of its adapter at any strength."""
        full = plan_sampler(self._plan, base)
        if not order.layers:
            return Way("base", (order.prompt,), (), replace(full, steps=order.steps))
        names = [(order.recipe, layer.director) for layer in order.layers]
        worn = [self._worn_of(*name, kept[name]) for name in names]
        prompt = order.prompt
        for one in reversed(worn):
            prompt = with_trigger(one.trigger, prompt)
        pairs = [
            (path, layer.strength)
            for one, layer in zip(worn, order.layers, strict=True)
            for path in one.adapters
            if layer.strength
        ]
        students = worn[0].students if order.turbo else {}
        if order.turbo and order.steps not in students:
            known = ", ".join(map(str, students)) or "none"
            raise OrderError("turbo", f"no student draws in {order.steps} steps", f"There are some for: {known}.")
        together = AdapterStack(worn[0].base, "", tuple(path for path, _ in pairs), students)
        way = way_in(order.steps, together, (prompt,), full, of_students=full)
        strengths = [strength for _, strength in pairs]
        return replace(way, strengths=(*strengths, *[1.0] * (len(way.adapters) - len(strengths))))

    def _kept(self, recipe: str, director: str) -> Kept:
        if director not in usable_artifacts(self._store, (recipe, ADAPTER), [director]):
            raise OrderError("director", "has no adapter of this recipe that may be used", "Choose another one.")
        return kept_of(self._store, recipe, director)

    def _worn_of(self, recipe: str, director: str, kept: Kept) -> AdapterStack:
        """The files of an adapter; those of a remote store are fetched once."""
        known = self._worn.get((recipe, director))
        if known is None or not isinstance(known.owner, Kept) or known.owner.versions != kept.versions:
            try:
                known = kept.stack(self._bases[self._recipes[recipe].base], self._directors[director])
            except EvaluationError as error:
                raise OrderError(
                    "director",
                    "has another trigger than its adapter knows",
                    "Choose another one. Who runs the studio starts it again, or makes the adapter again.",
                ) from error
            self._worn[recipe, director] = known
        return known

    def _open(self, base: Base) -> _Opened:
        """The base in memory: another one leaves first."""
        from director_diffusion.families import longest_count, painter_of

        folder = self._folder_of(base)
        if self._opened is None or (self._opened.base, self._opened.folder) != (base, folder):
            self._leave()
            painter = painter_of(base, folder, device=self._device)
            self._opened = _Opened(base, folder, painter, longest_count([(base.family, folder)]))
        return self._opened

    def _leave(self) -> None:
        if self._opened is not None:
            import torch

            self._opened = None
            gc.collect()
            torch.cuda.empty_cache()  # which does nothing where there is none

    @contextmanager
    def _on_a_device(self) -> Iterator[None]:
        """Draw on the one that is lent, or on one lent now.  Its idle time begins anew."""
        if self._idle is not None:
            self._idle.cancel()
        if not self._device:
            try:
                self._device = self._lent.enter_context(self._lend())
            except DevicesBusyError as error:
                raise QueueFullError("queue full", "others are at work on every GPU", "Try again later.") from error
        try:
            yield
        finally:
            if self._idle_s is not None:
                self._idle = threading.Timer(self._idle_s, self._end_idle)
                self._idle.daemon = True
                self._idle.start()

    def _end_idle(self) -> None:
        """In a thread of its own: give back the device, unless somebody draws, or has just drawn."""
        mine = threading.current_thread()
        with suppress(QueueFullError), self._slot.taken("the studio itself"):
            if self._idle is mine:
                self._give_back()

    def _give_back(self) -> None:
        self._leave()
        self._lent.close()
        self._device = ""

    def _attach(self, opened: _Opened, way: Way) -> None:
        wanted = tuple(zip(way.adapters, way.strengths or (), strict=True))
        if opened.attached != wanted:
            opened.attached = None
            opened.painter.attach(*way.adapters, strengths=way.strengths)
            opened.attached = wanted
