"""Asking: the instructions that the captioner learns to follow, and what it is to say to each.

Belongs here: instructions as directors' files word them, in number and order of topics as they may come, and the answer
that heeds them.  The wording itself is `captions.prompt`'s.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar, get_args

import torch

from director_diffusion.captions.prompt import Rule, build_instruction, retry_instruction
from director_diffusion.scenes.captions import describe
from director_diffusion.scenes.scene import Scene
from director_diffusion.specs import CaptionRules

T = TypeVar("T")

RULES: tuple[Rule, ...] = get_args(Rule)
BRIEF = "Describe what this picture shows."
DESCRIBED = CaptionRules().describe
OMITTED = (*CaptionRules().omit, "framing", "symmetry", "shot size", "time of day")
DEFAULT_SHARE = 0.5  # of the full instructions: the default one, word by word
REMARK_SHARE = 0.2  # of the full instructions: with remarks on a first answer that failed


@dataclass(frozen=True)
class Asking:
    """An instruction, and what of a scene its answer leaves out."""

    instruction: str
    time: bool = True
    shot: bool = True

    def answer(self, scene: Scene) -> str:
        return describe(scene, time=self.time, shot=self.shot)


def known_texts() -> tuple[str, ...]:
    """Texts that hold every word that `ask_fully` can use."""
    rules = CaptionRules(describe=DESCRIBED, omit=OMITTED)
    return BRIEF, retry_instruction(rules, RULES)


def asking(rules: CaptionRules, failed: Sequence[Rule] = ()) -> Asking:
    """The instruction that the captions stage would give, and what it leaves out.

    Framing tells shot sizes, so whoever wants no word on the one gets none on the other.
    """
    return Asking(
        instruction=retry_instruction(rules, failed) if failed else build_instruction(rules),
        time="time of day" in rules.describe and "time of day" not in rules.omit,
        shot="shot size" in rules.describe and not {"shot size", "framing"} & set(rules.omit),
    )


def ask_briefly() -> Asking:
    """A short question with the whole scene as its answer: cheap, so most steps of a training can take it."""
    return Asking(BRIEF)


def ask_fully() -> Asking:
    """An instruction as a director's file may give it, drawn from torch's generator."""
    rules = CaptionRules()
    if torch.rand(()) >= DEFAULT_SHARE:
        rules = CaptionRules(describe=("subject", *_some(DESCRIBED[1:], 0.7)), omit=_some(OMITTED, 0.6))
    return asking(rules, _some(RULES, 0.2) if torch.rand(()) < REMARK_SHARE else ())


def _some(choices: Sequence[T], share: float) -> tuple[T, ...]:
    """About this share of them, in their order."""
    kept = (torch.rand(len(choices)) < share).tolist()
    return tuple(choice for choice, keep in zip(choices, kept, strict=True) if keep)
