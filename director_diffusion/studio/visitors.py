"""Visitors: who is asking.

Belongs here: the cookie with a pass for visitors without a name, and the voter behind a request.
"""

from typing import TYPE_CHECKING

from director_diffusion.errors import VoteError
from director_diffusion.studio.studio import Studio

if TYPE_CHECKING:
    import gradio as gr

COOKIE = "director_pass"  # HttpOnly, SameSite=Lax: set by `server` with the first page
COOKIE_S = 365 * 24 * 3600


def voter_of(studio: Studio, request: "gr.Request") -> str:
    """The voter behind a handler's request: the named user where the studio asks for names, else the cookie's pass.

    Raises VoteError for a forged pass or none, and where this studio has no booth.
    """
    name = user_of(request)
    if name is not None:
        return name
    if studio.booth is None:
        raise VoteError("voting", "has no ledger here", "Set `votes` in the deployment's file.")
    return studio.booth.voter_of(request.cookies.get(COOKIE))


def user_of(request: "gr.Request") -> str | None:
    """The named user; None where the studio lets everybody in."""
    name = request.username
    return name if isinstance(name, str) else None
