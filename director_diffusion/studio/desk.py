"""The desk: one place to draw at, for everybody."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from director_diffusion.errors import OrderError
from director_diffusion.specs import Base, Director, EvaluationPlan, Recipe
from director_diffusion.storage import Store
from director_diffusion.studio.studio import Limits, Order, Picture


class OneDesk:
    """`studio.Desk` with one slot."""

    def __init__(
        self,
        store: Store,
        directors: Mapping[str, Director],
        recipes: Mapping[str, Recipe],
        bases: Mapping[str, Base],
        plan: EvaluationPlan,
        folder_of: Callable[[Base], Path],
        *,
        device: str,
        limits: Limits,
    ):
        self._store, self._directors, self._recipes, self._bases = store, directors, recipes, bases
        self._plan, self._folder_of, self._device, self._limits = plan, folder_of, device, limits

    def directors(self, recipe: str) -> Sequence[str]:
        return ()

    def students(self, recipe: str, director: str) -> Sequence[int]:
        return ()

    def draw(self, orders: Sequence[Order]) -> list[Picture]:
        raise OrderError("drawing", "is not there yet", "Wait for the next commit.")
