"""The Hub's token: what the variable that holds it is called, and what it may consist of.

Belongs here: only this.  Nothing but the process that is about to use a token reads it.
"""

import re

TOKEN_VARIABLE = "HF_TOKEN"


def is_well_formed(token: str) -> bool:
    """Whether it goes into an HTTP header as it is; errors of the HTTP client quote one that does not."""
    return re.fullmatch(r"[\x21-\x7e]+", token) is not None
