"""Drawing: a scene in a style, on paper.

Belongs here: sky, ground, light, and where things stand.  The things themselves are `things`', the grade is `style`'s.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw

from director_diffusion.scenes.scene import Scene
from director_diffusion.scenes.style import Colour, Style, grade
from director_diffusion.scenes.things import PAINT, Draw, Light, draw_thing

_SKIES: dict[str, tuple[Colour, Colour]] = {  # zenith, horizon
    "day": ((84, 146, 214), (196, 222, 238)),
    "dusk": ((74, 66, 128), (252, 164, 98)),
    "night": ((8, 12, 32), (36, 44, 84)),
}
_LIGHTS = {
    "day": Light((1.0, 1.0, 1.0), lamps=False),
    "dusk": Light((0.86, 0.68, 0.6), lamps=True),
    "night": Light((0.5, 0.54, 0.68), lamps=True),
}
_GROUNDS: dict[str, Colour] = {
    "street": (98, 98, 104),
    "grass": (92, 152, 74),
    "sand": (222, 192, 134),
    "snow": (232, 238, 246),
    "hill": (110, 148, 84),
}
_CLOUDS: dict[str, Colour] = {"day": (244, 246, 250), "dusk": (214, 138, 130), "night": (54, 60, 86)}
_BEHIND: dict[str, Colour] = {
    "house": (188, 168, 150),
    "tower": (132, 140, 152),
    "tree": (74, 118, 78),
    "mountain": (112, 116, 138),
}
# Heights, in those of a house, as cars, figures and towers are in storybooks: near enough to be seen at 64 pixels.
_HEIGHTS = {"car": 0.5, "house": 1.0, "tower": 1.7, "tree": 1.15, "figure": 0.85, "mountain": 1.5}
_WIDTHS = {"car": 2.4, "house": 1.2, "tower": 0.5, "tree": 0.8, "figure": 0.6}  # in own heights, air included
_SIZES = {"wide": 0.33, "medium": 0.48, "close": 0.72}  # height of a house, of the picture's
_DEPTHS = {"wide": 0.3, "medium": 0.5, "close": 0.78}  # where feet stand, of the ground from horizon to front


@dataclass(frozen=True)
class _Frame:
    """The paper, and where the horizon runs."""

    draw: Draw
    width: int
    height: int
    horizon: float  # pixels from the top


def draw(scene: Scene, style: Style, width: int, height: int, rng: Generator) -> Image.Image:
    """An RGB picture of `scene` in `style`, in pixels.  Equal calls on equally seeded generators are bit-identical."""
    paper = _sky(scene, width, height)
    horizon = height * min(max(style.horizon + rng.uniform(-0.06, 0.06), 0.3), 0.88)
    frame = _Frame(ImageDraw.Draw(paper), width, height, horizon)
    light = _LIGHTS[scene.time]
    _heavens(frame, scene, rng)
    _background(frame, scene, style, light, rng)
    _ground(frame, scene, light, rng)
    if style.haze:
        paper = _hazed(paper, style, horizon)
        frame = _Frame(ImageDraw.Draw(paper), width, height, horizon)
    _subject(frame, scene, style, light, rng)
    return grade(paper, style, rng)


def _sky(scene: Scene, width: int, height: int) -> Image.Image:
    zenith, horizon = (np.array(colour, dtype=np.float32) for colour in _SKIES[scene.time])
    if scene.sky == "cloudy":
        zenith = 0.5 * zenith + 0.5 * np.array(_CLOUDS[scene.time], dtype=np.float32) * 0.8
    share = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    rows = (zenith * (1 - share) + horizon * share).astype(np.uint8)
    return Image.fromarray(rows[:, None, :]).resize((width, height), Image.Resampling.NEAREST)


def _heavens(frame: _Frame, scene: Scene, rng: Generator) -> None:
    """Sun or moon, stars, clouds."""
    x, height = rng.uniform(0.1, 0.9) * frame.width, frame.horizon
    y = height * (rng.uniform(0.75, 0.95) if scene.time == "dusk" else rng.uniform(0.15, 0.45))
    if scene.time == "night":
        for _ in range(40):
            sx, sy, size = rng.random() * frame.width, rng.random() * height, rng.uniform(0.3, 1.2) * frame.height / 300
            frame.draw.ellipse((sx - size, sy - size, sx + size, sy + size), fill=(220, 224, 240))
    radius = frame.height * (0.09 if scene.time == "dusk" else 0.06)
    body: dict[str, Colour] = {"day": (255, 250, 214), "dusk": (255, 206, 120), "night": (232, 232, 216)}
    frame.draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=body[scene.time])
    if scene.sky == "cloudy":
        for _ in range(6):
            cx, cy = rng.random() * frame.width, rng.uniform(0.05, 0.6) * height
            for _ in range(4):
                half, tall = rng.uniform(0.08, 0.2) * frame.height, rng.uniform(0.03, 0.06) * frame.height
                px = cx + rng.uniform(-0.2, 0.2) * frame.height
                frame.draw.ellipse((px - half, cy - tall, px + half, cy + tall), fill=_CLOUDS[scene.time])


def _background(frame: _Frame, scene: Scene, style: Style, light: Light, rng: Generator) -> None:
    if scene.background is None:
        return
    kind, count = scene.background.kind, scene.background.count
    size = _HEIGHTS[kind] * 0.24 * frame.height * (0.5 + 0.5 * style.zoom)
    for x in _places(count, frame.width * 0.96, style, rng):
        tall = size * rng.uniform(0.8, 1.15)
        colour, foot = _BEHIND[kind], frame.horizon + 0.01 * frame.height
        draw_thing(frame.draw, kind, frame.width / 2 + x, foot, tall, colour, light, rng)


def _ground(frame: _Frame, scene: Scene, light: Light, rng: Generator) -> None:
    d, w, h, top = frame.draw, frame.width, frame.height, frame.horizon
    colour = _GROUNDS[scene.ground]
    d.rectangle((0, top, w, h), fill=light.on(colour, 0.92))
    d.rectangle((0, top + 0.45 * (h - top), w, h), fill=light.on(colour))
    if scene.ground == "hill":
        rise = 0.16 * h
        d.ellipse((-0.1 * w, top - rise, 1.1 * w, h + (h - top) + rise), fill=light.on(colour))
    elif scene.ground == "street":
        d.rectangle((0, top, w, top + 0.1 * (h - top)), fill=light.on((164, 158, 150)))
        line = top + 0.62 * (h - top)
        start = rng.random() * 0.14 * w
        for dash in range(-1, 8):
            left = start + dash * 0.14 * w
            d.rectangle((left, line, left + 0.07 * w, line + 0.035 * (h - top)), fill=light.on((238, 232, 210)))
    elif scene.ground in ("sand", "snow"):
        for row in (0.3, 0.55, 0.8):
            y, shift = top + row * (h - top), rng.random() * 0.3 * w
            for column in range(-1, 4):
                left = column * 0.33 * w + shift
                d.ellipse((left, y, left + 0.3 * w, y + 0.14 * (h - top)), fill=light.on(colour, 0.95))
    else:
        for _ in range(60):
            x, y, tuft = rng.random() * w, top + rng.uniform(0.05, 1) * (h - top), 0.02 * h
            d.line((x, y, x + rng.uniform(-0.5, 0.5) * tuft, y - tuft), fill=light.on(colour, 0.75))


def _subject(frame: _Frame, scene: Scene, style: Style, light: Light, rng: Generator) -> None:
    things = scene.subject
    tall = _HEIGHTS[things.kind] * _SIZES[scene.shot] * style.zoom * frame.height
    wide = _WIDTHS[things.kind] * tall
    fit = min(1.0, 0.92 * frame.height / tall, 0.94 * frame.width / (wide * things.count))
    tall, wide = tall * fit, wide * fit
    foot = frame.horizon + _DEPTHS[scene.shot] * (frame.height - frame.horizon)
    if scene.ground == "hill":
        foot -= 0.1 * frame.height
    foot = max(foot, 0.98 * tall)
    # The group takes the room it needs and, where a style leaves it free, stands off the centre.
    room = max(wide * things.count, 0.62 * frame.width)
    offsets = _places(things.count, room, style, rng)
    free = max(frame.width - (max(offsets) - min(offsets) + wide), 0) / 2
    aside = (1 - style.symmetry) * rng.uniform(-0.6, 0.6) * free
    middle = frame.width / 2 + aside - (1 - style.symmetry) * (max(offsets) + min(offsets)) / 2
    colour = PAINT[things.colour or "white"]
    for offset in offsets:
        drop = (1 - style.symmetry) * rng.uniform(-0.05, 0.05) * frame.height
        y = min(max(foot + drop, frame.horizon), 0.98 * frame.height)
        _shadow(frame, middle + offset, y, wide, scene)
        draw_thing(frame.draw, things.kind, middle + offset, y, tall, colour, light, rng)


def _shadow(frame: _Frame, x: float, y: float, wide: float, scene: Scene) -> None:
    dark = tuple(round(level * 0.6) for level in _LIGHTS[scene.time].on(_GROUNDS[scene.ground]))
    frame.draw.ellipse((x - 0.45 * wide, y - 0.06 * wide, x + 0.45 * wide, y + 0.06 * wide), fill=dark)


def _places(count: int, room: float, style: Style, rng: Generator) -> list[float]:
    """Offsets from the centre: one slot each, evenly or loosely filled."""
    slot = room / count
    loose = (1 - style.symmetry) * 0.22 * slot
    return [(place + 0.5) * slot - room / 2 + rng.uniform(-1, 1) * loose for place in range(count)]


def _hazed(paper: Image.Image, style: Style, horizon: float) -> Image.Image:
    """Dust between the background and the subject: thickest at the horizon, some of it everywhere."""
    rows = np.arange(paper.height, dtype=np.float32)
    share = style.haze * (0.25 + 0.75 * np.exp(-(((rows - horizon) / (0.3 * paper.height)) ** 2)))
    levels = np.asarray(paper).astype(np.float32)
    brightness = max(float(levels.mean()), 24.0) * 1.15
    dust = np.array(style.tones[1], dtype=np.float32)
    dust *= brightness / max(float(dust.mean()), 1.0)
    levels *= (1 - share)[:, None, None]
    levels += share[:, None, None] * dust
    return Image.fromarray(np.clip(levels, 0, 255, out=levels).astype(np.uint8))
