"""Prompts: what the captioner is asked, and how a trigger and a caption become what the base is given.

Belongs here: text made of text, with no model in sight.  Training, evaluation and serving all join by `join_prompt`.
"""

import re
from collections.abc import Iterable
from typing import Literal

from director_diffusion.errors import CaptionError
from director_diffusion.hashing import hash_data, short
from director_diffusion.specs import Captioner, CaptionRules, Director

ASKING_VERSION = 1  # raise it when the same spec would be asked of the captioner in another way

Rule = Literal[
    "refusal",
    "meta_talk",
    "repetition",
    "truncation",
    "script",
    "name",
    "style",
    "omitted",
    "length",
    "tokens",
    "near_identical",
]
"""What a caption may be found wanting by; `quality` says how each is judged."""

# What the retry adds for a rule that failed.  None of it repeats the offending words: they would only prime the model.
_ADVICE: dict[Rule, str] = {
    "refusal": "Only describe what can be seen; nobody has to be identified.",
    "meta_talk": "Do not mention that this is an image; begin with the subject itself.",
    "repetition": "Say each thing once.",
    "truncation": "Answer in one short, complete sentence.",
    "script": "Write in English, in Latin letters.",
    "name": "Call people and places by what they are, never by name; mention no titles.",
    "style": "Leave out every word about style, mood, atmosphere, colour palette or lighting.",
    "omitted": "Leave out what was asked to be left out, however striking it is.",
    "length": "Use one plain sentence of ten to thirty words.",
    "tokens": "Answer in one short, complete sentence.",
    "near_identical": "Name the details that tell this picture from similar ones: what, how many, where, doing what.",
}


def join_prompt(trigger: str, caption: str) -> str:
    """The prompt of a caption: "trigger, caption", or the trigger alone where the caption is empty."""
    trigger, caption = trigger.strip(), caption.strip()
    if not trigger:
        raise CaptionError("The trigger", "is empty", "Set `trigger` in the director's file.")
    return f"{trigger}, {caption}" if caption else trigger


def strip_trigger(prompt: str, trigger: str) -> str:
    """`prompt` without the trigger it may start with; undoes `join_prompt`."""
    start = re.compile(rf"\s*{re.escape(trigger.strip())}(?:\s*,\s*|\s+|\s*$)", re.IGNORECASE)
    return start.sub("", prompt, count=1).strip() if start.match(prompt) else prompt.strip()


def build_instruction(rules: CaptionRules) -> str:
    """What the captioner is asked: content only, so that the trigger alone comes to stand for the style.

    Forbidden words are not in it: to tell a model which names not to say is to tell it the names.
    """
    lines = [
        f"Describe what this picture shows in one or two plain English sentences: {_listed(rules.describe)}.",
        "State only what can be seen, and begin with the subject itself.",
    ]
    if rules.omit:
        lines.append(f"Do not mention {_listed(rules.omit, 'or')}.")
    return " ".join(lines)


def retry_instruction(rules: CaptionRules, failed: Iterable[Rule]) -> str:
    """The second asking: the first, and a fixed remark for every rule that the first answer failed."""
    remarks = dict.fromkeys(_ADVICE[rule] for rule in sorted(set(failed)))
    return " ".join((build_instruction(rules), *remarks))


def caption_fingerprint(director: Director, spec: Captioner, model_fingerprint: str) -> str:
    """Name of the cache of the captioner's raw answers: all that shapes them but the still and a retry's remarks.

    The rules that judge an answer (forbidden words, trigger, lengths) are left out on purpose: they are applied anew to
    cached answers, and where they ask for another retry, that retry's instruction is part of its item's name.
    """
    return short(
        hash_data(
            {
                "asking": ASKING_VERSION,
                "instruction": build_instruction(director.captions),
                "model": model_fingerprint,
                "max_pixels": spec.max_pixels,
                "max_new_tokens": spec.max_new_tokens,
                "dtype": spec.dtype,
            }
        )
    )


def _listed(words: tuple[str, ...], conjunction: str = "and") -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {conjunction} {words[-1]}"
