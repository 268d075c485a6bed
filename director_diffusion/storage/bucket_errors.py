"""Bucket errors: what S3's refusals and silences mean for whoever runs this.

Belongs here: their words.  No message of a server is repeated, since some quote what was signed.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ConfigNotFound,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    HTTPClientError,
    InvalidConfigError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    SSLError,
    SSOError,
)

from director_diffusion.errors import StoreError, TransientError

_BUSY = {"SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequests", "429", "503"}
_FAILING = {"InternalError", "ServiceUnavailable", "RequestTimeout", "OperationAborted", "500", "502", "504"}
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"}
_UNKNOWN = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "AuthFailure", "UnrecognizedClientException"}
_REFUSED = {"AccessDenied", "AllAccessDisabled", "AccountProblem", "403", "Forbidden"}
_ELSEWHERE = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301"}
_NO_CREDENTIALS = (
    NoCredentialsError,
    PartialCredentialsError,
    CredentialRetrievalError,
    ProfileNotFound,
    ConfigNotFound,
    InvalidConfigError,
    SSOError,
)
_CREDENTIALS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (AWS_SESSION_TOKEN where they are lent), or AWS_PROFILE"
_LATER = "Run again later: what is there already stays."


class CutError(Exception):
    """A body that broke off each time that it was read."""


def code_of(error: BaseException) -> str:
    """S3's own word for what s3fs made an OSError of; "" where there is none."""
    response = getattr(error, "response", None) or getattr(error.__cause__, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


@contextmanager
def told(name: str, url: str) -> Iterator[None]:
    """Raise S3's errors in words, about `name` of a store at `url`.  An object that is absent is FileNotFoundError."""
    try:
        yield
    except CutError as error:
        raise TransientError(name, f"broke off each time that it was read from {url}", _LATER) from error
    except BotoCoreError as error:
        raise _of_connection(error, name, url) from error
    except OSError as error:
        code = code_of(error)
        if not code or (isinstance(error, FileNotFoundError) and code not in ("NoSuchBucket", "NoSuchUpload")):
            raise
        raise _of_code(code, name, url) from error


def _of_connection(error: BotoCoreError, name: str, url: str) -> StoreError | TransientError:
    if isinstance(error, _NO_CREDENTIALS):
        return StoreError(url, "cannot be opened: no credentials for it were found", f"Set {_CREDENTIALS}.")
    if isinstance(error, SSLError):
        return StoreError(
            url,
            "cannot be opened: its certificate is not trusted here",
            "Mend AWS_ENDPOINT_URL, or name the authority's file in AWS_CA_BUNDLE.",
        )
    if isinstance(error, (EndpointConnectionError, ConnectTimeoutError)):
        return TransientError(
            name,
            f"cannot be reached: nobody answers for {url}",
            "Look at the network, and at AWS_ENDPOINT_URL and AWS_REGION; then run again.",
        )
    if isinstance(error, HTTPClientError):
        return TransientError(name, f"cannot be reached: {url} hangs up, or is silent too long", _LATER)
    if isinstance(error, ParamValidationError):
        return StoreError(url, "names a bucket as S3 names none", "Mend the URL (DIRECTOR_STORE, or the deployment).")
    return StoreError(
        url, f"cannot be opened: {type(error).__name__}", "Look at AWS_ENDPOINT_URL, AWS_REGION and AWS_PROFILE."
    )


def _of_code(code: str, name: str, url: str) -> StoreError | TransientError:
    if code in _BUSY:
        return TransientError(name, f"is throttled: {url} asks to slow down, and goes on asking ({code})", _LATER)
    if code in _FAILING or code == "NoSuchUpload":
        return TransientError(name, f"failed on the server's side of {url} ({code})", _LATER)
    if code == "NoSuchBucket":
        return StoreError(
            url, "names a bucket that does not exist", "Make it, or mend the URL (DIRECTOR_STORE, or the deployment)."
        )
    if code in _EXPIRED:
        return StoreError(
            url, f"cannot be opened: the credentials have expired ({code})", "Get new ones, then run again."
        )
    if code in _UNKNOWN:
        return StoreError(
            url, f"cannot be opened: it does not know these credentials ({code})", f"Mend {_CREDENTIALS}."
        )
    if code == "RequestTimeTooSkewed":
        return StoreError(url, "cannot be opened: this machine's clock is wrong", "Set the clock, then run again.")
    if code in _REFUSED:
        return StoreError(
            name,
            f"may not be reached: {url} refuses these credentials ({code})",
            "Let them list, get, put and delete objects there.",
        )
    if code in _ELSEWHERE:
        return StoreError(url, f"is in another region ({code})", "Set AWS_REGION to the bucket's.")
    return StoreError(name, f"was refused by {url} ({code})", "Look up that word among S3's errors.")
