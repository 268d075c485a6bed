"""Secrets: which values of this process's environment nobody is to read, and keeping them out of logs and errors.

Belongs here: the variables, and the places at which text leaves the process: logging, warnings, and exceptions on their
way to Dagster.  What a secret looks like is `director_diffusion.redaction`'s.
"""

import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from director_diffusion.errors import DirectorError
from director_diffusion.models.token import TOKEN_VARIABLE
from director_diffusion.redaction import redact, redact_error

WEBHOOK_VARIABLE = "DIRECTOR_WEBHOOK"
VALUES = (
    TOKEN_VARIABLE,
    "HUGGING_FACE_HUB_TOKEN",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "PGPASSWORD",
)
"""Variables that are secret as a whole."""
ADDRESSES = (
    "DIRECTOR_DAGSTER_POSTGRES_URL",
    *(name for proxy in ("http", "https", "all") for name in (f"{proxy}_proxy", f"{proxy}_proxy".upper())),
)
"""Variables whose address may hold a password."""
_NAMES = (*VALUES, *ADDRESSES, WEBHOOK_VARIABLE)
_MARK = "_director_hides_secrets"
Ours = TypeVar("Ours", bound=DirectorError)


def secrets_of(environment: Mapping[str, str]) -> frozenset[str]:
    """The values to hide, as they are and as a URL spells them."""
    found = {environment.get(name, "") for name in VALUES}
    for name in ADDRESSES:
        found |= _password(environment.get(name, ""))
    webhook = environment.get(WEBHOOK_VARIABLE, "")
    found |= {webhook, *_password(webhook)}
    path = _path(webhook)
    found |= {path} if path.count("/") > 1 or len(path) > len("/hooks/") else set()
    return frozenset(one for one in found if one)


def hidden(text: str) -> str:
    """`text` without the secrets that this process knows or that can be told by their looks."""
    return redact(text, _secrets())


def hidden_in(value: Any) -> Any:
    """The same of all text in plain data."""
    if isinstance(value, str):
        return hidden(value)
    if isinstance(value, Mapping):
        return {hidden_in(key): hidden_in(one) for key, one in value.items()}
    return [hidden_in(one) for one in value] if isinstance(value, (list, tuple)) else value


def clean(error: Ours) -> Ours:
    """The same error of ours, whose words can be changed, with no secret in them or in those of all behind it."""
    redact_error(error, _secrets())
    return error


@contextmanager
def without_secrets() -> Iterator[None]:
    """What is raised within leaves without secrets: in its words, and in those of all behind it."""
    try:
        yield
    except BaseException as error:
        told = redact_error(error, _secrets())
        if told is error:
            raise
        # Python sets what is being handled, the very error, behind what is raised: nobody is to be shown it.
        told.__cause__ = told.__cause__ or (None if told.__suppress_context__ else told.__context__)
        told.__suppress_context__ = True
        raise told  # noqa: B904


def hide_in_logs() -> None:
    """From now on, in this process: nothing that is logged or warned of, and no uncaught error, holds a secret."""
    usual = logging.getLogRecordFactory()
    if not hasattr(usual, _MARK):

        def make_record(*args: Any, **options: Any) -> logging.LogRecord:
            return _cleaned(usual(*args, **options))

        setattr(make_record, _MARK, True)
        logging.setLogRecordFactory(make_record)
    if not hasattr(warnings.formatwarning, _MARK):
        warnings.formatwarning = _hiding(warnings.formatwarning)
    if not hasattr(sys.excepthook, _MARK):
        sys.excepthook = _excepthook(sys.excepthook)
        threading.excepthook = _thread_hook(threading.excepthook)


def _cleaned(record: logging.LogRecord) -> logging.LogRecord:
    try:
        message = record.getMessage()
    except Exception:  # noqa: BLE001  # a record that cannot be put together is logging's to tell
        message = f"{record.msg} {record.args}"
    if (told := hidden(message)) != message:
        record.msg, record.args = told, None
    if record.exc_info and isinstance(error := record.exc_info[1], BaseException):
        told_error = redact_error(error, _secrets())
        record.exc_info = (type(told_error), told_error, record.exc_info[2])
    return record


def _hiding(usual: Any) -> Any:
    def formatted(*args: Any, **options: Any) -> str:
        return hidden(usual(*args, **options))

    setattr(formatted, _MARK, True)
    return formatted


def _excepthook(usual: Any) -> Any:
    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        told = redact_error(error, _secrets())
        usual(type(told), told, trace)

    setattr(hook, _MARK, True)
    return hook


def _thread_hook(usual: Any) -> Any:
    def hook(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is None:
            usual(args)
            return
        told = redact_error(args.exc_value, _secrets())
        usual(threading.ExceptHookArgs((type(told), told, args.exc_traceback, args.thread)))

    return hook


def _secrets() -> frozenset[str]:
    """Read each time: a variable may be set after this process began."""
    return _known(tuple((name, value) for name in _NAMES if (value := os.environ.get(name))))


@lru_cache(4)
def _known(values: tuple[tuple[str, str], ...]) -> frozenset[str]:
    return secrets_of(dict(values))


def _password(address: str) -> set[str]:
    try:
        password = urlsplit(address).password or ""
    except ValueError:
        return {address}  # no address: nobody knows what of it is secret
    return {password, unquote(password)}


def _path(address: str) -> str:
    """What an HTTP client's errors name beside the host."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    return f"{parts.path}?{parts.query}" if parts.query else parts.path
