"""Questions: what is asked of a pair of pictures, and what may be answered.

Belongs here: the words, and the version that a pair's identity takes of them.
"""

from typing import Literal, get_args

Question = Literal["style", "prompt"]
Answer = Literal["A", "B", "tie", "neither"]

QUESTIONS: dict[Question, str] = {
    "style": "Which picture is closer to the director's stills?",
    "prompt": "Which picture is closer to the words?",
}
ANSWERS: tuple[Answer, ...] = get_args(Answer)
"""A or B is closer; both are equally close (`tie`); both are beside the point (`neither`)."""

QUESTIONS_VERSION = 1  # raise it when other questions are asked: earlier votes are then of other pairs
