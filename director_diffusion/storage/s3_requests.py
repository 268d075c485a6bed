"""S3's requests: s3fs, set to ask again where S3 is busy, fails, hangs up, or breaks off in the middle of an answer.

Endpoint, region, credentials, attempts and retry mode are botocore's own settings: AWS_ENDPOINT_URL, AWS_REGION,
AWS_ACCESS_KEY_ID, AWS_PROFILE, AWS_MAX_ATTEMPTS and so on.

Belongs here: connecting, and what botocore does not ask again.
"""

import asyncio
import random
from typing import Any

import aiohttp
import s3fs
from aiobotocore.session import AioSession

from director_diffusion.storage.bucket_errors import CutError

ATTEMPTS = 8  # at a request, where AWS_MAX_ATTEMPTS says nothing: at one fault in five, 3 requests in a million fail
AT_ONCE = 16  # small requests
CONNECT_S, READ_S = 10, 30


async def pause_before(attempt: int) -> None:
    """Nothing before the first, number 0."""
    if attempt:
        await asyncio.sleep(random.random() * min(0.2 * 2**attempt, 20))


class _Patient(s3fs.S3FileSystem):
    """Repeats requests whose answer broke off.

    botocore repeats what it could not send.  What it reads of an answer by itself, a listing or the words of an error,
    may break off too, after all that it looks at was well.
    """

    async def _call_s3(self, method: str, *given: Any, **what: Any) -> Any:
        for attempt in range(ATTEMPTS):
            await pause_before(attempt)
            try:
                return await super()._call_s3(method, *given, **what)
            except (aiohttp.ClientError, TimeoutError):
                continue
        raise CutError


def connect() -> Any:
    """A file system of its own, whose every request may be repeated."""
    session = AioSession()
    retries = {
        "mode": session.get_config_variable("retry_mode") or "standard",
        "total_max_attempts": session.get_config_variable("max_attempts") or ATTEMPTS,
    }
    fs = _Patient(
        config_kwargs={
            "retries": retries,
            "connect_timeout": CONNECT_S,
            "read_timeout": READ_S,
            "max_pool_connections": AT_ONCE,
        },
        use_listings_cache=False,
        skip_instance_cache=True,
    )
    fs.retries = 1  # botocore's are enough: around them, s3fs's would multiply them
    return fs
