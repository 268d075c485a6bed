"""Stray words: what stands around a prompt and means nothing to a base, as triggers and directors' names do.

Belongs here: putting them there.  A base that has only ever seen its own captions loses the content of a prompt as soon
as a strange word stands before it, and an adapter would have to teach it to read again.
"""

from collections.abc import Sequence

import torch

LETTERS = "etaoinshrdlucmfwypvbgkjqxz"  # by how common they are in English
SHORTEST, LONGEST = 3, 10  # letters of a word


def with_strays(prompts: Sequence[str], share: float) -> list[str]:
    """A `share` of the prompts with stray words before or after them, drawn from torch's generator.

    Half of those begin as a trigger does ("xyz style, …"), half end as a request by name (", in the style of Xyz Uvw").
    """
    chosen = (torch.rand(len(prompts)) < share).tolist()
    return [_strayed(prompt) if strays and prompt else prompt for prompt, strays in zip(prompts, chosen, strict=True)]


def _strayed(prompt: str) -> str:
    if torch.rand(()) < 0.5:
        return f"{_word()} style, {prompt}"
    return f"{prompt}, in the style of {_word().capitalize()} {_word().capitalize()}"


def _word() -> str:
    length = int(torch.randint(SHORTEST, LONGEST + 1, ()))
    ranks = (torch.rand(length).square() * len(LETTERS)).int()  # common letters more often
    return "".join(LETTERS[rank] for rank in ranks.tolist())
