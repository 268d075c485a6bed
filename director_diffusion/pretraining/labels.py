"""Labels: what a drawn picture shows, and how it looks, as numbers that a model can be asked for.

Belongs here: scenes as classes and styles as vectors.  Who learns from them, and how, is the parts' own.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from director_diffusion.scenes.scene import BACKGROUNDS, COLOURS, GROUNDS, SHOTS, SKIES, SUBJECTS, TIMES, Scene
from director_diffusion.scenes.style import Style

ANSWERS: Mapping[str, tuple[str, ...]] = {
    "object": SUBJECTS,
    "colour": COLOURS,
    "count": ("1", "2", "3", "4"),
    "ground": GROUNDS,
    "background": ("none", *BACKGROUNDS),
    "background count": ("0", "2", "3", "4"),
    "time": TIMES,
    "sky": SKIES,
    "shot": SHOTS,
}
"""By question, what a scene may answer."""

# Styles' numbers lie about these values, so far apart (see `scenes.style.sample_style`).
_CENTRES = (0.4, 0.85, 1.02, 0.95, 0.15, 0.2, 0.02, 0.62, 1.03, 0.2)
_SPREADS = (0.25, 0.25, 0.2, 0.17, 0.25, 0.25, 0.012, 0.08, 0.18, 0.4)
STYLE_NUMBERS = 3 * 3 + len(_CENTRES)


def scene_labels(scenes: Iterable[Scene]) -> Tensor:
    """(N, questions): the number of each scene's answer, in the order of `ANSWERS`."""
    return torch.tensor([_labels(scene) for scene in scenes])


def style_numbers(styles: Iterable[Style]) -> Tensor:
    """(N, STYLE_NUMBERS): styles with every number near 0 and about 1 large; a tone counts as far as it colours."""
    return torch.tensor([_numbers(style) for style in styles])


def _labels(scene: Scene) -> list[int]:
    behind = scene.background
    answers = (
        scene.subject.kind,
        scene.subject.colour,
        str(scene.subject.count),
        scene.ground,
        behind.kind if behind else "none",
        str(behind.count if behind else 0),
        scene.time,
        scene.sky,
        scene.shot,
    )
    return [known.index(str(answer)) for known, answer in zip(ANSWERS.values(), answers, strict=True)]


def _numbers(style: Style) -> list[float]:
    tones = [3 * style.toning * (level - grey) / 255 for tone, grey in zip(style.tones, (0, 128, 255), strict=True)
             for level in tone]  # fmt: skip
    others = (style.toning, style.saturation, style.contrast, style.exposure, style.haze, style.vignette, style.grain,
              style.horizon, style.zoom, style.symmetry)  # fmt: skip
    return tones + [(n - centre) / spread for n, centre, spread in zip(others, _CENTRES, _SPREADS, strict=True)]
