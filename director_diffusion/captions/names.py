"""Names: does a caption say who made the picture, or what film it is of?

Belongs here: matching names in running text.  Proper names are ordinary words too (a sand dune, a dog, a hill), so most
of them count only where they are written as names.
"""

import re

_SMALL = {"a", "an", "and", "at", "by", "for", "in", "of", "on", "or", "the", "to", "with"}


def says_phrase(text: str, phrase: str) -> bool:
    """The phrase as whole words, in any case."""
    return bool(_whole(phrase.split(), re.IGNORECASE).search(text))


def says_word(text: str, word: str) -> bool:
    """A forbidden word, as written where it has capitals (`Dune` leaves `a sand dune` alone), else in any case."""
    return bool(_whole(word.split(), re.IGNORECASE if word == word.lower() else re.NOFLAG).search(text))


def says_person(text: str, name: str) -> bool:
    """A person's whole name in any case, or the surname as written.

    A name of one word counts as written, where its capital does not come from the start of a sentence.
    """
    parts = name.split()
    if len(parts) > 1:
        return says_phrase(text, name) or bool(_whole(parts[-1:]).search(text))
    return name != name.lower() and any(not _starts_sentence(text, at) for at in _places(text, parts))


def says_title(text: str, film: str) -> bool:
    """A film's title, given as its folder's name, where the text writes it like a title.

    Folders are often called by plain words (`dog`, `red_car`): only capitals that do not come from the start of a
    sentence make a title of them.
    """
    parts = [part.lower() for part in re.split(r"[\W_]+", film) if part]
    if not any(len(part) > 1 and part.isalpha() and part not in _SMALL for part in parts):
        return False
    titled = [part if part in _SMALL else part.capitalize() for part in parts]
    capitals = sum(part != lower for part, lower in zip(titled, parts, strict=True))
    return any(capitals > 1 or not _starts_sentence(text, at) for at in _places(text, titled))


def _whole(words: list[str], flags: re.RegexFlag = re.NOFLAG) -> re.Pattern[str]:
    """The words as whole words, however they are spaced or hyphenated."""
    return re.compile(r"(?<!\w)" + r"[\s_-]+".join(map(re.escape, words)) + r"(?!\w)", flags)


def _places(text: str, words: list[str]) -> list[int]:
    return [found.start() for found in _whole(words).finditer(text)]


def _starts_sentence(text: str, at: int) -> bool:
    return not text[:at].strip() or text[:at].rstrip()[-1] in ".!?:\"'"
