"""Questions: VQAScore, whether a model that looks at pictures says that a text is shown (Lin et al. 2024).

Belongs here: the question, the reading of its answer, and the cache of answers.  Loading and showing pictures to the
captioner is `captions.qwen`'s matter.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from director_diffusion.errors import ModelError
from director_diffusion.evaluation.encoders.base import Vectors
from director_diffusion.evaluation.encoders.cache import OpensImage, cached_vectors, vector_items
from director_diffusion.hashing import hash_bytes, short
from director_diffusion.progress import Progress
from director_diffusion.storage import Store

if TYPE_CHECKING:
    from director_diffusion.captions.qwen import QwenCaptioner

QUESTION = 'Does this figure show "{text}"? Please answer yes or no.'  # Lin et al. 2024, section 3
YES, NO = ("Yes", "yes", "YES", " Yes", " yes"), ("No", "no", "NO", " No", " no")


class YesNoReader:
    """VQAScore by a captioner: P(yes) / (P(yes) + P(no)) of its next token, over the spellings that are single tokens.

    Lin et al. (arXiv 2404.01291, eq. 1) take P("Yes") alone; against P("No") it says the same of a model that answers
    the question, without that part of the probability that goes to other openings of an answer.
    """

    def __init__(self, captioner: "QwenCaptioner", name: str):
        """Raises ModelError, naming the captioner as `name`, where it cannot say yes or no in one token."""
        self._captioner = captioner
        self._yes, self._no = (_single_tokens(captioner, words) for words in (YES, NO))
        if not self._yes or not self._no:
            lacking = " or ".join(word for word, tokens in (("yes", self._yes), ("no", self._no)) if not tokens)
            raise ModelError(
                name,
                f"has no single token for {lacking}, so it cannot be asked questions",
                "Leave the questions out of the evaluation plan, or choose a captioner that was taught to answer.",
            )

    def scores(self, images: Sequence[Image.Image], texts: Sequence[str]) -> Vectors:
        """Scores (n, 1) in [0, 1] of RGB images, each asked for the text that it was drawn for."""
        logits = self._captioner.next_token_logits(images, [QUESTION.format(text=text) for text in texts])
        yes, no = (torch.logsumexp(logits[:, tokens], dim=1) for tokens in (self._yes, self._no))
        return torch.sigmoid(yes - no)[:, None].cpu().numpy()


@dataclass(frozen=True)
class Asked:
    """A picture, and what it is asked to show."""

    sha256: str
    text: str
    open: OpensImage


def cached_answers(
    store: Store,
    fingerprint: str,
    load: Callable[[], YesNoReader],
    asked: Sequence[Asked],
    *,
    batch_size: int,
    fresh: str = "",
    title: str,
    progress: Progress,
) -> dict[tuple[str, str], float]:
    """VQAScore by (picture's hash, text), kept by both and the captioner's `fingerprint`; `load` only where needed."""
    readers: list[YesNoReader] = []

    def compute(some: list[tuple[Image.Image, str]]) -> Vectors:
        if not readers:
            readers.append(load())
        return readers[0].scores([image for image, _ in some], [text for _, text in some])

    wanted: Mapping[str, Asked] = {f"{one.sha256}.{short(hash_bytes(one.text.encode()))}": one for one in asked}
    found = cached_vectors(
        vector_items(store, fingerprint, fresh=fresh),
        wanted,
        lambda one: (one.open(), one.text),
        compute,
        batch_size=batch_size,
        title=title,
        progress=progress,
    )
    return {(one.sha256, one.text): float(np.round(found[item][0], 6)) for item, one in wanted.items()}


def _single_tokens(captioner: "QwenCaptioner", words: Sequence[str]) -> list[int]:
    encoded = [captioner.processor.tokenizer.encode(word, add_special_tokens=False) for word in words]
    return sorted({tokens[0] for tokens in encoded if len(tokens) == 1})
