"""Bucket client: s3fs as a bucket uses it.

Belongs here: how long it waits for an answer, and how often botocore asks again where nobody has said otherwise.
"""

from typing import Any

import s3fs
from aiobotocore.session import AioSession

ATTEMPTS = 8  # at a request, where AWS_MAX_ATTEMPTS says nothing: at one fault in five, 3 requests in a million fail
AT_ONCE = 16  # small requests
CONNECT_S, READ_S = 10, 30


def connect() -> Any:
    """s3fs with a connection of its own."""
    session = AioSession()
    retries = {
        "mode": session.get_config_variable("retry_mode") or "standard",
        "total_max_attempts": session.get_config_variable("max_attempts") or ATTEMPTS,
    }
    fs = s3fs.S3FileSystem(
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
