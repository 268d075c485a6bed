"""Redaction: secrets out of text and out of exceptions, before anybody reads or keeps them.

Belongs here: what a secret looks like, and putting HIDDEN in its place.  Which values of the environment are secret is
`resources.secrets`' to say.
"""

import re
from collections.abc import Collection, Iterator
from typing import TypeVar

from director_diffusion.errors import DirectorError

HIDDEN = "<hidden>"
LEAST = 6  # characters of a value that is hidden wherever it stands: of shorter ones too much else is made
Raised = TypeVar("Raised", bound=BaseException)

_PICTURE = re.compile(
    r"(data:[\w/+.-]+;base64,[A-Za-z0-9+/=]+)"
)  # pixels hold none, and anything may be read into them
_VALUE = r"[^\s\"'&,;<>\\)\]}]+"
_TOKEN = r"(?:(?:access|refresh|id|session|auth|api|hf|xet)[_-]?)?token"
_NAMED = (
    rf"x-amz-(?:signature|credential|security-token)|awsaccesskeyid|signature|credential|sig|{_TOKEN}|"
    r"(?:api|secret)[_-]?key|(?:client|app)?[_-]?secret|(?:pg)?password|passwd"
)
_AWS = r"(?:secret[_-]?access[_-]?key|session[_-]?token|access[_-]?key[_-]?id)|x-amz-security-token|x-xet-access-token"
# A pattern is looked for only where one of its marks is: looking for plain words is far cheaper.
_PATTERNS = tuple(
    (marks.split(), re.compile(pattern, re.IGNORECASE if free else 0), put)
    for marks, pattern, put, free in (
        # Headers as text, as JSON and as pairs of bytes.
        (
            "authorization",
            r"((?:proxy-)?authorization(?:[\"']?\s*[:=]|[\"']\s*,)\s*(?:b?[\"'])?)"
            r"(?:(?:bearer|basic|token|digest|aws4-hmac-sha256)\s+)?[^\s\"',]+",
            rf"\1{HIDDEN}",
            True,
        ),
        ("bearer basic", r"\b(bearer|basic)(\s+)[A-Za-z0-9._~+/=-]{16,}", rf"\1\2{HIDDEN}", True),
        ("hf_", r"\bhf_[A-Za-z0-9]{20,}", HIDDEN, False),
        ("api_org_", r"\bapi_org_[A-Za-z0-9]{20,}", HIDDEN, False),
        ("eyj", r"\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*", HIDDEN, False),  # a JSON web token, as storage servers hand out
        ("akia asia abia acca aroa aida", r"\b(?:AKIA|ASIA|ABIA|ACCA|AROA|AIDA)[A-Z0-9]{16}\b", HIDDEN, False),
        ("key token", rf"({_AWS})((?:[\"']?\s*(?:[:=]|=>)|[\"']\s*,)\s*(?:b?[\"'])?){_VALUE}", rf"\1\2{HIDDEN}", True),
        # Parameters of a URL or of a connection string, and keys of JSON.
        ("= %3d", rf"(?<![a-z_])({_NAMED})(=|%3D)([\"']?){_VALUE}", rf"\1\2\3{HIDDEN}", True),
        ("policy= key-pair-id=", r"([?&](?:amp;)?(?:policy|key-pair-id)=)[^\s\"'&<>]+", rf"\1{HIDDEN}", True),
        (
            "sig credential token key secret passw",
            rf"([\"'])({_NAMED})\1(\s*:\s*)([\"'])[^\"'<>]+",
            rf"\1\2\1\3\4{HIDDEN}",
            True,
        ),
        # A password may hold an @: the last one before the host's end counts.
        ("@", r"\b([a-z][a-z0-9+.-]*://)[^\s/\"'<>@:]*:[^\s/\"'<>]*@", rf"\1{HIDDEN}@", True),
        ("@", r"\b(https?://)[^\s/\"'<>@:]+@", rf"\1{HIDDEN}@", True),
        # Webhooks: who has the address may post.
        ("hooks.slack", r"\b(https?://hooks\.slack(?:-gov)?\.com/)[^\s\"'<>)]+", rf"\1{HIDDEN}", True),
        ("/services/", r"(/services/)T[A-Z0-9]{6,}/B[A-Z0-9]{6,}/\w+", rf"\1{HIDDEN}", False),
        ("/hooks/", r"(/hooks/)[a-z0-9]{20,}", rf"\1{HIDDEN}", False),
        ("/api/webhooks/", r"(/api/webhooks/)\d+/[\w-]+", rf"\1{HIDDEN}", True),
    )
)


class HiddenError(Exception):
    """Stands where an exception stood whose words could not be changed; its class has that one's name."""


def redact(text: str, secrets: Collection[str] = ()) -> str:
    """`text` with HIDDEN in place of what looks like a secret, and of each of `secrets`; pictures in it stay."""
    for secret in sorted((one for one in secrets if len(one) >= LEAST), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    if "base64," not in text:
        return _patterns_out(text)
    return "".join(part if place % 2 else _patterns_out(part) for place, part in enumerate(_PICTURE.split(text)))


def redact_error(error: Raised, secrets: Collection[str] = ()) -> Raised | HiddenError:
    """The same error, or one in its place, in whose words and in those of all behind it no secret is."""
    seen: dict[int, BaseException] = {}
    return _clean(error, secrets, seen)  # type: ignore[return-value]


def _patterns_out(text: str) -> str:
    plain = text.casefold()  # as `re.IGNORECASE` compares, but for a dotless i, which stands in no name of a secret
    for marks, pattern, put in _PATTERNS:
        if any(mark in plain for mark in marks):
            text = pattern.sub(put, text)
    return text


def _clean(error: BaseException, secrets: Collection[str], seen: dict[int, BaseException]) -> BaseException:
    if id(error) in seen:
        return seen[id(error)]
    seen[id(error)] = error
    told = error if _is_clean(error, secrets) else _rewritten(error, secrets)
    seen[id(error)] = told
    cause, context, quiet = error.__cause__, error.__context__, error.__suppress_context__
    if isinstance(error, BaseExceptionGroup) and told is error:
        inner = [_clean(one, secrets, seen) for one in error.exceptions]
        if any(new is not old for new, old in zip(inner, error.exceptions, strict=True)):
            told = _stand_in(error, " · ".join(_words(one) for one in inner), secrets)
            seen[id(error)] = told
    if context is not None:
        told.__context__ = _clean(context, secrets, seen)
    if cause is not None:
        told.__cause__ = _clean(cause, secrets, seen)
    told.__suppress_context__ = quiet
    return told


def _rewritten(error: BaseException, secrets: Collection[str]) -> BaseException:
    """The error with other words where it takes them, else a stand-in."""
    if isinstance(error, DirectorError):
        for name in ("thing", "problem", "way_out"):
            setattr(error, name, redact(getattr(error, name), secrets))
    said = {one for one in error.args if isinstance(one, str)}
    try:
        for name, value in list(vars(error).items()):
            if isinstance(value, str) and value in said:  # as Dagster's Failure keeps its description beside its words
                setattr(error, name, redact(value, secrets))
        error.args = tuple(redact(one, secrets) if isinstance(one, str) else one for one in error.args)
        if notes := getattr(error, "__notes__", None):
            error.__notes__ = [redact(note, secrets) for note in notes]
    except (TypeError, AttributeError):
        pass
    return error if _is_clean(error, secrets) else _stand_in(error, redact(_words(error), secrets), secrets)


def _stand_in(error: BaseException, words: str, secrets: Collection[str]) -> BaseException:
    like = HiddenError if isinstance(error, Exception) else BaseException  # an interrupt stays one
    kind: type[BaseException] = type(type(error).__name__, (like,), {"__module__": type(error).__module__})
    return kind(redact(words, secrets)).with_traceback(error.__traceback__)


def _is_clean(error: BaseException, secrets: Collection[str]) -> bool:
    return all(redact(told, secrets) == told for told in _told(error))


def _told(error: BaseException) -> Iterator[str]:
    """Its words, as a traceback or a log would quote them.  Its class's name is none of them: a password may be part of
    it, such as "dagster", and nobody learns that there."""
    yield _words(error)
    yield from (note for note in getattr(error, "__notes__", ()) if isinstance(note, str))
    for one in error.args:
        yield repr(one)


def _words(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001  # an exception that cannot be put in words has none to hide
        return ""
