"""Things: drawing one car, house, tower, tree, figure or mountain.

Belongs here: shapes.  A thing stands with its foot at (x, y), is `height` pixels tall, and is lit by a `Light`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from numpy.random import Generator
from PIL import ImageDraw

from director_diffusion.scenes.style import Colour

Draw = ImageDraw.ImageDraw

PAINT: dict[str, Colour] = {
    "red": (206, 44, 38),
    "blue": (44, 84, 190),
    "yellow": (238, 200, 50),
    "white": (236, 236, 230),
    "black": (34, 34, 38),
    "green": (58, 136, 62),
    "orange": (232, 128, 36),
    "brown": (124, 82, 48),
}
_GLASS = (120, 150, 170)
_LIT_GLASS = (255, 214, 120)
_SKIN = (214, 164, 130)
_TRUNK = (92, 64, 42)


@dataclass(frozen=True)
class Light:
    """What falls on things: a factor per channel, and whether lamps are on."""

    factors: tuple[float, float, float]
    lamps: bool

    def on(self, colour: Colour, shade: float = 1.0) -> Colour:
        """A colour as it looks in this light, darkened by `shade`."""
        red, green, blue = (min(255, round(c * f * shade)) for c, f in zip(colour, self.factors, strict=True))
        return red, green, blue

    @property
    def glass(self) -> Colour:
        return _LIT_GLASS if self.lamps else self.on(_GLASS)


def draw_thing(
    draw: Draw, kind: str, x: float, y: float, height: float, colour: Colour, light: Light, rng: Generator
) -> None:
    """Draw a thing of `kind` with its foot at (x, y)."""
    _DRAWERS[kind](draw, x, y, height, colour, light, rng)


def _box(draw: Draw, left: float, top: float, right: float, bottom: float, fill: Colour) -> None:
    draw.rectangle((left, top, max(left, right), max(top, bottom)), fill=fill)


def _circle(draw: Draw, x: float, y: float, radius: float, fill: Colour) -> None:
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)


def _car(draw: Draw, x: float, y: float, h: float, colour: Colour, light: Light, rng: Generator) -> None:
    body, w = light.on(colour), 2.4 * h
    way = 1 if rng.random() < 0.5 else -1
    wheel = 0.22 * h
    draw.polygon(
        [(x - 0.32 * w * way, y - 0.55 * h), (x - 0.2 * w * way, y - h), (x + 0.14 * w * way, y - h),
         (x + 0.3 * w * way, y - 0.55 * h)],
        fill=light.on(colour, 0.85),
    )  # fmt: skip
    draw.polygon(
        [(x - 0.24 * w * way, y - 0.58 * h), (x - 0.17 * w * way, y - 0.92 * h), (x + 0.11 * w * way, y - 0.92 * h),
         (x + 0.22 * w * way, y - 0.58 * h)],
        fill=light.on(_GLASS, 0.9),
    )  # fmt: skip
    _box(draw, x - w / 2, y - 0.6 * h, x + w / 2, y - 0.2 * h, body)
    _box(draw, x - w / 2, y - 0.3 * h, x + w / 2, y - 0.2 * h, light.on(colour, 0.7))
    for side in (-0.29, 0.29):
        _circle(draw, x + side * w, y - wheel, wheel, light.on((26, 26, 28)))
        _circle(draw, x + side * w, y - wheel, 0.45 * wheel, light.on((150, 150, 150)))
    lamp = _LIT_GLASS if light.lamps else light.on((240, 236, 200))
    _circle(draw, x + 0.47 * w * way, y - 0.46 * h, 0.09 * h, lamp)


def _house(draw: Draw, x: float, y: float, h: float, colour: Colour, light: Light, rng: Generator) -> None:
    w, wall = 1.1 * h, 0.62 * h
    _box(draw, x - w / 2, y - wall, x + w / 2, y, light.on(colour))
    draw.polygon([(x - 0.58 * w, y - wall), (x, y - h), (x + 0.58 * w, y - wall)], fill=light.on((112, 58, 48)))
    _box(draw, x - 0.09 * w, y - 0.32 * h, x + 0.09 * w, y, light.on((74, 48, 34)))
    for side in (-0.3, 0.3):
        _box(draw, x + side * w - 0.1 * w, y - 0.46 * h, x + side * w + 0.1 * w, y - 0.26 * h, light.glass)


def _tower(draw: Draw, x: float, y: float, h: float, colour: Colour, light: Light, rng: Generator) -> None:
    w, rows = 0.3 * h, 7
    _box(draw, x - w / 2, y - h, x + w / 2, y, light.on(colour))
    _box(draw, x + 0.2 * w, y - h, x + w / 2, y, light.on(colour, 0.78))
    _box(draw, x - 0.03 * w, y - 1.1 * h, x + 0.03 * w, y - h, light.on((60, 60, 66)))
    for row in range(rows):
        top = y - h + (0.05 + 0.9 * row / rows) * h
        for column in (-0.3, 0.0, 0.3):
            fill = light.glass if not light.lamps or rng.random() < 0.6 else light.on(_GLASS, 0.5)
            _box(draw, x + (column - 0.08) * w, top, x + (column + 0.08) * w, top + 0.055 * h, fill)


def _tree(draw: Draw, x: float, y: float, h: float, colour: Colour, light: Light, rng: Generator) -> None:
    _box(draw, x - 0.05 * h, y - 0.4 * h, x + 0.05 * h, y, light.on(_TRUNK))
    if rng.random() < 0.5:
        for row in range(3):
            top, half = y - h + 0.2 * h * row, (0.16 + 0.08 * row) * h
            fill = light.on(colour, 0.8 + 0.1 * row)
            draw.polygon([(x, top), (x - half, top + 0.36 * h), (x + half, top + 0.36 * h)], fill=fill)
        return
    for dx, dy, radius, shade in ((-0.16, 0.55, 0.19, 0.8), (0.16, 0.55, 0.19, 0.88), (0.0, 0.72, 0.26, 1.0)):
        _circle(draw, x + dx * h, y - dy * h, radius * h, light.on(colour, shade))


def _figure(draw: Draw, x: float, y: float, h: float, colour: Colour, light: Light, rng: Generator) -> None:
    stride = rng.uniform(0.04, 0.16) * h
    width = max(1, round(0.1 * h))
    for side in (-1, 1):
        draw.line((x, y - 0.45 * h, x + side * stride, y), fill=light.on((44, 42, 52)), width=width)
    draw.polygon(
        [(x - 0.13 * h, y - 0.8 * h), (x + 0.13 * h, y - 0.8 * h), (x + 0.18 * h, y - 0.36 * h),
         (x - 0.18 * h, y - 0.36 * h)],
        fill=light.on(colour),
    )  # fmt: skip
    for side in (-1, 1):
        arm = (x + side * 0.13 * h, y - 0.76 * h, x + side * (0.13 * h + stride), y - 0.44 * h)
        draw.line(arm, fill=light.on(colour, 0.8), width=max(1, round(0.07 * h)))
    _circle(draw, x, y - 0.89 * h, 0.1 * h, light.on(_SKIN))
    draw.pieslice(
        (x - 0.11 * h, y - 1.01 * h, x + 0.11 * h, y - 0.79 * h), 180, 360, fill=light.on((48, 34, 26))
    )  # fmt: skip


def _mountain(draw: Draw, x: float, y: float, h: float, colour: Colour, light: Light, rng: Generator) -> None:
    half, peak = rng.uniform(0.9, 1.3) * h, x + rng.uniform(-0.2, 0.2) * h
    draw.polygon([(x - half, y), (peak, y - h), (x + half, y)], fill=light.on(colour))
    draw.polygon([(peak, y - h), (x + half, y), (peak + 0.1 * half, y)], fill=light.on(colour, 0.8))
    cap = 0.25
    left, right = peak + (x - half - peak) * cap, peak + (x + half - peak) * cap
    draw.polygon([(left, y - h * (1 - cap)), (peak, y - h), (right, y - h * (1 - cap))], fill=light.on((238, 240, 246)))


_DRAWERS: dict[str, Callable[[Draw, float, float, float, Colour, Light, Generator], None]] = {
    "car": _car,
    "house": _house,
    "tower": _tower,
    "tree": _tree,
    "figure": _figure,
    "mountain": _mountain,
}
