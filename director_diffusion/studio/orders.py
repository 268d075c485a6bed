"""Orders: what a browser asks to be drawn, checked before anything is done with it.

Belongs here: bounds of every value.  Errors never repeat a value that was typed: it may be hostile, or a hundred
kilobytes long.  Imports no torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from director_diffusion.errors import OrderError
from director_diffusion.plain_text import NOT_PLAIN, is_plain
from director_diffusion.specs import Director, Recipe
from director_diffusion.studio.studio import Layer, Limits, Order
from director_diffusion.voting.given import kind_of

SEED_MOST = 2**32 - 1


@dataclass(frozen=True)
class Bounds:
    """What an order may name, and how much it may ask for."""

    recipes: Mapping[str, Recipe]
    directors: Mapping[str, Director]
    limits: Limits

    def order(
        self,
        recipe: object,
        layers: Sequence[tuple[object, object]],
        prompt: object,
        seed: object,
        steps: object,
        *,
        turbo: bool = False,
    ) -> Order:
        """An order of values from outside; layers are director and strength each.

        Raises OrderError unless every value is of its own type and within bounds.
        """
        limits = self.limits
        if len(layers) > limits.blend:
            raise OrderError("directors", f"are {len(layers)}", f"Blend {limits.blend} at most.")
        known = tuple(
            Layer(
                checked_choice("director", director, self.directors),
                checked_number("strength", strength, -limits.strength, limits.strength),
            )
            for director, strength in layers
        )
        if len({layer.director for layer in known}) != len(known):
            raise OrderError("directors", "are not all different", "Choose each once.")
        if turbo and len(known) != 1:
            raise OrderError("turbo", "is there for one director's adapter", "Draw this in full.")
        return Order(
            checked_choice("recipe", recipe, self.recipes),
            known,
            checked_prompt(prompt, limits),
            checked_whole("seed", seed, 0, SEED_MOST),
            checked_whole("steps", steps, 1, limits.steps),
            turbo,
        )


def checked_prompt(value: object, limits: Limits) -> str:
    """One line of text that a tokenizer takes."""
    text = checked_text("prompt", value, limits.prompt)
    if not text:
        raise OrderError("prompt", "is empty", "Say what the picture shows.")
    return text


def checked_text(what: str, value: object, most: int) -> str:
    """A line of at most so many characters, spaces at its ends and between words made one; "" is one too."""
    if not isinstance(value, str):
        raise OrderError(what, f"{kind_of(value)} is no text", "Type some words.")
    if len(value) > most:
        raise OrderError(what, f"has {len(value):,} characters, of at most {most:,}", "Shorten it.")
    if not is_plain(value, lines=True):
        raise OrderError(what, NOT_PLAIN, "Type letters, digits and punctuation.")
    return " ".join(value.split())


def checked_choice(what: str, value: object, known: Mapping[str, Any]) -> str:
    """One of the slugs that there are."""
    if isinstance(value, str) and value in known:
        return value
    raise OrderError(what, f"{kind_of(value)} names none", f"Choose of {', '.join(known) or 'none'}.")


def checked_whole(what: str, value: object, least: int, most: int) -> int:
    """A whole number, which JSON may also write as 3.0."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
        return value
    raise OrderError(what, f"{_number(value)} is refused", f"Give a whole number from {least} to {most}.")


def checked_number(what: str, value: object, least: float, most: float) -> float:
    """A finite number."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value <= most:
        return float(value)
    raise OrderError(what, f"{_number(value)} is refused", f"Give a number from {least:g} to {most:g}.")


def _number(value: object) -> str:
    known = isinstance(value, (int, float)) and not isinstance(value, bool)
    return "a number out of bounds" if known else kind_of(value)
