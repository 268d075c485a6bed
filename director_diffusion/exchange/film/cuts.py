"""Cuts: where one shot ends and the next begins.

Belongs here: telling two neighbouring frames apart, and which differences are cuts.  The method is that of
PySceneDetect's AdaptiveDetector (github.com/Breakthrough/PySceneDetect, scenedetect/detectors/adaptive_detector.py),
with its numbers: a frame's score is the mean change of hue, saturation and value from the frame before; it begins a
shot where its score is at least 15 and three times the mean score of two frames on either side.  A moving camera
raises all five alike, a cut only one.  Hue is an angle here, and counts the less the greyer a pixel
is: the hue of grey is noise.

A flash of light makes two such peaks, and the pictures around it are alike: it parts nothing.

A fade has no such peak: black frames part shots too (as its ThresholdDetector does), and belong to none.
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray
from PIL import Image

RATIO = 3.0
LEAST_SCORE = 15.0
WINDOW = 2  # frames on either side
_BLACK_LEVEL, _BLACK_SHARE = 32, 99.5  # of 255, and of the pixels in per cent: a black frame may have a lit speck
_COLOURED = 64  # saturation from which hue counts in full
_OPENCV_HUE = 180 / 256  # OpenCV, whose numbers the thresholds are for, has 180 hues

Colours = NDArray[np.int16]


def colours_of(small: Image.Image) -> Colours:
    """Hue, saturation and value of a picture of a few hundred pixels, to be compared."""
    return np.asarray(small.reduce(2).convert("HSV"), dtype=np.int16)


def is_black(colours: Colours) -> bool:
    return float(np.percentile(colours[..., 2], _BLACK_SHARE)) <= _BLACK_LEVEL


def change(before: Colours, after: Colours) -> float:
    """The score of a frame against the one before it; frames of other sizes are another film's, thus a cut."""
    if before.shape != after.shape:
        return 255.0
    apart = np.abs(after - before)
    hue = np.minimum(apart[..., 0], 256 - apart[..., 0]) * _OPENCV_HUE
    coloured = np.minimum(np.minimum(before[..., 1], after[..., 1]) / _COLOURED, 1)
    return float((hue * coloured).mean() + apart[..., 1].mean() + apart[..., 2].mean()) / 3


class CutFinder:
    """Takes frames in their order and says of each, WINDOW frames later, whether it begins a shot."""

    def __init__(self) -> None:
        self._frames: deque[Colours] = deque(maxlen=2 * WINDOW + 2)  # with as many before a cut as after it
        self._scores: deque[float] = deque(maxlen=2 * WINDOW + 2)
        self._behind = 0  # frames of which nothing has been said yet

    def add(self, frame: Colours) -> list[bool]:
        """What can be said now: of the frame WINDOW before this one, once there is one."""
        self._scores.append(change(self._frames[-1], frame) if self._frames else 0.0)
        self._frames.append(frame)
        self._behind += 1
        return [self._oldest()] if self._behind > WINDOW else []

    def end(self) -> list[bool]:
        """What is left to say, of the last frames."""
        return [self._oldest() for _ in range(self._behind)]

    def _oldest(self) -> bool:
        scores, place = list(self._scores), len(self._scores) - self._behind
        self._behind -= 1
        around = [*scores[max(0, place - WINDOW) : place], *scores[place + 1 : place + WINDOW + 1]]
        usual = sum(around) / len(around) if around else 0.0
        return scores[place] >= max(LEAST_SCORE, RATIO * usual) and self._stays_changed(place, scores[place])

    def _stays_changed(self, place: int, score: float) -> bool:
        """Whether no frame from `place` on is like one before it: the picture after a flash is that of before."""
        frames = list(self._frames)
        before, after = frames[max(0, place - WINDOW - 1) : place], frames[place : place + WINDOW + 1]
        return all(change(one, other) >= max(LEAST_SCORE, score / RATIO) for one in before for other in after)
