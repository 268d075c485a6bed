"""Quality: the rules that a caption must pass before anything trains on it.

Belongs here: pure functions of text, one per rule; each returns a `Problem` or None.  `judge_caption` asks all of them.
Does not: what happens to a caption that fails (`caption`), or how a model is asked again (`prompt`).
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from director_diffusion.captions.names import says_person, says_phrase, says_title, says_word
from director_diffusion.captions.prompt import Rule, join_prompt
from director_diffusion.captions.vocabulary import OMITTED, STYLE
from director_diffusion.specs import Captioner, Director

MAX_NON_LATIN = 0.1  # share of letters; a foreign sign in the picture may be quoted
NEAR_IDENTICAL = 0.9  # Jaccard index of the captions' sets of words


@dataclass(frozen=True)
class Problem:
    """A rule that a caption fails, and how."""

    rule: Rule
    detail: str

    def __str__(self) -> str:
        return f"{self.rule.replace('_', ' ')}: {self.detail}"


def words_of(text: str) -> list[str]:
    """Lower-case words of a text, punctuation dropped."""
    return re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", text.lower())


_DECLINES = re.compile(
    r"\s*(?:i'm sorry|i am sorry|sorry|i apologi[sz]e|unfortunately|as an ai|i'm (?:unable|not able|just|an ai)"
    r"|(?:i|we) (?:cannot|can't|can not|am unable|am not able|do not|don't|won't))\b",
    re.IGNORECASE,
)
_DECLINES_INSIDE = re.compile(
    r"\bas an ai\b|\b(?:cannot|can't|unable to|not able to) (?:assist|help with|identify|see the|view|provide)\b",
    re.IGNORECASE,
)


def refusal(text: str) -> Problem | None:
    """The model declines.  Apologies count at the start only: further on they may be written on a sign."""
    text = text.replace("’", "'")
    found = _DECLINES.match(text) or _DECLINES_INSIDE.search(text)
    return Problem("refusal", f"says {found.group().strip()!r}") if found else None


_META = re.compile(
    r"\b(?:the|this) (?:image|photo|photograph|picture|still|frame|shot|scene|caption|description) (?:still )?"
    r"(?:shows?|depicts?|is (?:a|an|taken|set|captured|likely|from)|was|captures?|features?|has|appears|conveys?"
    r"|suggests?|presents?|portrays?|includes?|contains?)\b"
    r"|\b(?:in|of|throughout) (?:the|this) (?:image|photo|photograph)\b"
    r"|\bin this (?:picture|still|frame|shot|scene)\b"
    r"|\b(?:it|there|this) (?:seems|appears) to be (?:a|an) (?:still|scene|shot|frame) from\b"
    r"|\bthe viewer\b|\b(?:film|movie) still\b|\bscreenshot\b"
    r"|\b(?:let me know|please provide|the user|your request)\b",
    re.IGNORECASE,
)


def meta_talk(text: str) -> Problem | None:
    """The model speaks of the picture, or of its own task, in place of what the picture shows."""
    found = _META.search(text)
    return Problem("meta_talk", f"says {found.group()!r}") if found else None


def repetition(text: str) -> Problem | None:
    """The model is stuck: a run of one word, or three words that come three times."""
    words = words_of(text)
    for first, second, third in zip(words, words[1:], words[2:], strict=False):
        if first == second == third:
            return Problem("repetition", f"repeats {first!r}")
    trigrams = Counter(zip(words, words[1:], words[2:], strict=False))
    if trigrams and (most := trigrams.most_common(1)[0])[1] >= 3:
        return Problem("repetition", f"says {' '.join(most[0])!r} {most[1]} times")
    return None


_DANGLING = re.compile(
    r"(?:[,;:–—-]|\b(?:a|an|the|of|with|and|or|in|on|at|by|to|from|under|is|are|while|as|into))\s*$", re.I
)


def truncation(text: str, hit_limit: bool) -> Problem | None:
    """It stops in the middle: the model ran into its token limit, or the last word asks for another."""
    if hit_limit:
        return Problem("truncation", "was cut off at the captioner's token limit")
    found = _DANGLING.search(text)
    return Problem("truncation", f"ends with {found.group().strip()!r}") if found else None


def script(text: str) -> Problem | None:
    """It is not written in Latin letters, which are what the base's text encoders know."""
    if "�" in text or any(unicodedata.category(char) == "Cc" for char in text):
        return Problem("script", "holds characters that are no text")
    letters = [char for char in text if char.isalpha()]
    if not letters:
        return Problem("script", "holds no letters") if text.strip() else None
    foreign = sum(not unicodedata.name(char, "").startswith("LATIN") for char in letters) / len(letters)
    return Problem("script", f"{foreign:.0%} of its letters are not Latin") if foreign > MAX_NON_LATIN else None


def leaked_name(text: str, director: Director, films: Iterable[str]) -> Problem | None:
    """It says the trigger, the director, a forbidden word or a film's title (see `names` for what counts as saying)."""
    if says_phrase(text, director.trigger):
        return Problem("name", f"says the trigger {director.trigger!r}")
    if says_person(text, director.name):
        return Problem("name", f"names {director.name}")
    if word := next((word for word in director.captions.forbidden_words if says_word(text, word)), None):
        return Problem("name", f"says {word!r}")
    if film := next((film for film in films if says_title(text, film)), None):
        return Problem("name", f"says the film's title {film!r}")
    return None


def style_words(text: str) -> Problem | None:
    """It speaks of style, mood, palette or lighting, which the trigger is to stand for."""
    for topic, pattern in STYLE.items():
        if found := pattern.search(text):
            return Problem("style", f"speaks of {topic}: {found.group()!r}")
    return None


def omitted_words(text: str, omit: Iterable[str]) -> Problem | None:
    """It speaks of something that this director's file leaves to the trigger, such as framing."""
    for topic in omit:
        pattern = OMITTED.get(topic.lower())
        if pattern and (found := pattern.search(text)):
            return Problem("omitted", f"speaks of {topic}: {found.group()!r}")
    return None


def length(text: str, min_words: int, max_words: int) -> Problem | None:
    """It has too few words, or too many; both bounds are allowed."""
    count = len(words_of(text))
    if count < min_words:
        return Problem("length", f"has {count} words, fewer than {min_words}")
    if count > max_words:
        return Problem("length", f"has {count} words, more than {max_words}")
    return None


def token_count(prompt: str, count_tokens: Callable[[str], int], max_tokens: int) -> Problem | None:
    """The base's text encoders would cut the prompt off."""
    count = count_tokens(prompt)
    return (
        Problem("tokens", f"takes {count} tokens with its trigger; the base reads {max_tokens}")
        if count > max_tokens
        else None
    )


def judge_caption(
    text: str,
    *,
    hit_limit: bool,
    director: Director,
    spec: Captioner,
    films: Iterable[str],
    count_tokens: Callable[[str], int],
    max_tokens: int,
) -> list[Problem]:
    """Every rule that one caption fails by itself; a refusal is not judged further."""
    if declined := refusal(text):
        return [declined]
    found = (
        meta_talk(text),
        repetition(text),
        truncation(text, hit_limit),
        script(text),
        leaked_name(text, director, films),
        style_words(text),
        omitted_words(text, director.captions.omit),
        length(text, spec.min_words, spec.max_words),
        token_count(join_prompt(director.trigger, text), count_tokens, max_tokens),
    )
    return [problem for problem in found if problem]


def near_identical(texts: Sequence[str]) -> dict[int, int]:
    """For each caption that says what an earlier one says, the place of that earlier one.

    Two captions are alike where their sets of words have a Jaccard index of `NEAR_IDENTICAL` or more.  An empty text is
    like nothing.
    """
    words = [word_set(text) for text in texts]
    alike: dict[int, int] = {}
    firsts: list[int] = []
    for place, mine in enumerate(words):
        if not mine:
            continue
        twin = next((first for first in firsts if are_alike(mine, words[first])), None)
        if twin is None:
            firsts.append(place)
        else:
            alike[place] = twin
    return alike


def word_set(text: str) -> frozenset[str]:
    """What `are_alike` compares."""
    return frozenset(words_of(text))


def are_alike(a: frozenset[str], b: frozenset[str]) -> bool:
    """Whether two captions of these words say the same; of no words, never."""
    return bool(a and b) and _jaccard(a, b) >= NEAR_IDENTICAL


def _jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    if min(len(a), len(b)) < NEAR_IDENTICAL * max(len(a), len(b)):  # the index cannot be higher than this ratio
        return 0.0
    shared = len(a & b)
    return shared / (len(a) + len(b) - shared)
