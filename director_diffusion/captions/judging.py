"""Judging: what a person is told of a caption before it is saved.

Belongs here: the rules of `quality` put to one text among a director's others.  They are advice: a person's caption
stands whatever they say.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from director_diffusion.captions.quality import Problem, are_alike, judge_caption, word_set
from director_diffusion.specs import Captioner, Director


@dataclass(frozen=True)
class Judge:
    """What a project's captions are judged by."""

    spec: Captioner
    count_tokens: Callable[[str], int]  # of a prompt, by the tokenizer of the project's bases that makes most
    max_tokens: int  # that all bases read

    def problems(
        self, text: str, director: Director, *, films: Iterable[str], others: Iterable[tuple[str, frozenset[str]]] = ()
    ) -> list[Problem]:
        """Every rule that a caption without its trigger fails; `others`: names, and sets of words, of other stills."""
        found = judge_caption(
            text,
            hit_limit=False,
            director=director,
            spec=self.spec,
            films=films,
            count_tokens=self.count_tokens,
            max_tokens=self.max_tokens,
        )
        mine = word_set(text)
        twin = next((name for name, other in others if are_alike(mine, other)), None)
        return [*found, Problem("near_identical", f"says what {twin} says")] if twin is not None else found
