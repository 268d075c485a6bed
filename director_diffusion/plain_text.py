"""Plain text: which characters words that people give may hold.

Belongs here: that alone, for everything that is typed into a page or put into a file beside a still.  How long words
may be, and what they mean, is said where they are used.

Refused are controls, lone surrogates and separators of lines and paragraphs, which no tokenizer or table takes for
words, and what turns the direction of writing: with it a line reads otherwise than it is.  Other characters without
a shape stay: joiners hold emoji, Persian and Hindi together, and a soft hyphen is somebody's spelling.
"""

import unicodedata

NOT_PLAIN = "holds control characters, or some that turn the direction of writing"

_LINES = "\n\r\t"  # what people press and paste; a text on one line has none
_REFUSED = ("Cc", "Cs", "Zl", "Zp")
_TURNS = frozenset(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A))))


def is_plain(text: str, *, lines: bool) -> bool:
    """Whether it holds none of these; with `lines` it may have line breaks and tabs."""
    return not any(_is_refused(char) and not (lines and char in _LINES) for char in text)


def escaped(text: str, *, lines: bool) -> str:
    """The text with escapes in place of what is refused: for words that come from files nobody vouches for."""
    return "".join(char if is_plain(char, lines=lines) else ascii(char)[1:-1] for char in text)


def _is_refused(char: str) -> bool:
    return char in _TURNS or unicodedata.category(char) in _REFUSED
