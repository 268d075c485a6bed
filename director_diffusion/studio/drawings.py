"""Drawings: what the tabs Try, Compare and Blend ask the desk for, and what they show of it.

Belongs here: from a browser's values to orders, and from pictures to words.  Imports neither gradio nor torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from director_diffusion.errors import OrderError
from director_diffusion.studio.adapters import adapter_of
from director_diffusion.studio.orders import Bounds, checked_choice, checked_whole
from director_diffusion.studio.studio import Order, Picture, Studio

WAYS: Mapping[str, str] = {"full": "full: the adapter alone", "turbo": "turbo: its few-step student"}


@dataclass(frozen=True)
class Drawn:
    """Pictures by their addresses on this server, and a line about them."""

    addresses: tuple[str, ...]
    told: str


def draw_one(
    studio: Studio,
    visitor: str,
    adapter: object,
    prompt: object,
    seed: object,
    strength: object,
    steps: object,
    way: object,
) -> Drawn:
    """A picture by one director's adapter.  Values, here and below, are as a browser sent them; `visitor` is who asks
    (`visitors.visitor_behind`)."""
    recipe, director = adapter_of(studio, adapter)
    turbo = checked_choice("way", way, WAYS) == "turbo"
    return _drawn(
        studio, visitor, [_bounds(studio).order(recipe, [(director, strength)], prompt, seed, steps, turbo=turbo)]
    )


def draw_beside(
    studio: Studio, visitor: str, adapter: object, prompt: object, seed: object, steps: object, turbo_steps: object
) -> Drawn:
    """From the same noise: the bare base, the adapter, and a student of it where there is one.

    `turbo_steps` 0 stands for the director's student of most steps, if any.
    """
    recipe, director = adapter_of(studio, adapter)
    bounds, layers = _bounds(studio), [(director, 1.0)]
    orders = [bounds.order(recipe, some, prompt, seed, steps) for some in ([], layers)]
    few = checked_whole("steps of turbo", turbo_steps, 0, studio.limits.steps) or max(
        studio.desk.students(recipe, director), default=0
    )
    if few:
        orders.append(bounds.order(recipe, layers, prompt, seed, few, turbo=True))
    drawn = _drawn(studio, visitor, orders)
    return drawn if few else replace(drawn, told=f"{drawn.told}\nThere is no student of this adapter.")


def draw_blend(
    studio: Studio,
    visitor: str,
    adapters: Sequence[object],
    weights: Sequence[object],
    prompt: object,
    seed: object,
    steps: object,
) -> Drawn:
    """A picture by several directors' adapters at weights; those that are not chosen are left out."""
    chosen = [
        (adapter_of(studio, adapter), weight)
        for adapter, weight in zip(adapters, weights, strict=True)
        if adapter not in (None, "")
    ]
    recipes = {recipe for (recipe, _), _ in chosen}
    if len(recipes) != 1:
        problem = "are of several recipes" if recipes else "are not chosen"
        raise OrderError("directors", problem, "Choose some of one recipe.")
    layers = [(director, weight) for (_, director), weight in chosen]
    return _drawn(studio, visitor, [_bounds(studio).order(recipes.pop(), layers, prompt, seed, steps)])


def _bounds(studio: Studio) -> Bounds:
    return Bounds(studio.recipes, studio.directors, studio.limits)


def _drawn(studio: Studio, visitor: str, orders: Sequence[Order]) -> Drawn:
    pictures = studio.desk.draw(orders, visitor)
    return Drawn(tuple(studio.shelf.put(one.image) for one in pictures), "\n".join(map(_told, pictures)))


def _told(picture: Picture) -> str:
    steps = f"{picture.steps} step{'s' if picture.steps > 1 else ''}"
    return f"{picture.prompt}  ({steps}, {picture.seconds:.1f} s)"
