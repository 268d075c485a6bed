"""Tidying: taking a caption out of the wrapping that a model puts around it.

Belongs here: what is removed by fixed rules because it says nothing about the picture.  A lead-in such as "The image
shows" is harmless in itself: cutting it costs nothing, asking again costs a pass of the model.  What is left is judged
by `quality`, which still fails meta talk in the middle of a caption.
"""

import re
import unicodedata

_PICTURE = r"(?:image|picture|photo|photograph|still|film still|movie still|frame|shot|scene|screenshot)"
_SHOWS = (
    r"(?:shows|depicts|features|displays|captures|presents|portrays|illustrates|contains|is of"
    r"|is a (?:picture|photo) of)"
)
_LEAD_INS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?:sure|certainly|of course|okay|ok)\b[,.!:]*\s*",
        r"here(?: is|'s) (?:a|the|your) (?:\w+ ){0,3}(?:caption|description)[^:.\n]{0,40}[:.]\s*",
        r"(?:caption|description|answer)\s*:\s*",
        rf"(?:the|this) {_PICTURE} (?:still )?{_SHOWS}\s+",
        rf"(?:in|within) (?:the|this) {_PICTURE},\s*(?:we (?:can )?see\s+|there (?:is|are)\s+)?",
        r"an? (?:image|photo|photograph|picture|(?:film |movie )?still) of\s+",
        rf"an? {_PICTURE} (?:from a (?:film|movie) )?(?:showing|depicting)\s+",
        r"(?:we|you|i) (?:can )?see\s+",
        r"there (?:is|are)\s+(?=an?\b|the\b|\d|two|three|four|five|several|many|some)",
    )
)
_MARKUP = re.compile(r"\*\*|__|`+|^#+\s*|^[-*•]\s+", re.MULTILINE)
_QUOTES = "\"'“”‘’«»"


def tidy(text: str) -> str:
    """One line of plain text: markup, outer quotes, line breaks and lead-ins gone, letters in composed form."""
    text = unicodedata.normalize("NFC", text).replace("’", "'")
    text = " ".join(_MARKUP.sub("", text).split())
    while (shorter := _without_lead_in(_without_quotes(text))) != text:
        text = shorter
    return text[:1].upper() + text[1:]


def _without_lead_in(text: str) -> str:
    for lead_in in _LEAD_INS:
        found = lead_in.match(text)
        if found and found.end() < len(text):
            return text[found.end() :]
    return text


def _without_quotes(text: str) -> str:
    quoted = len(text) > 1 and text[0] in _QUOTES and text[-1] in _QUOTES
    return text[1:-1].strip() if quoted else text
