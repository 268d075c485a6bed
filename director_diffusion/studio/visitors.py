"""Visitors: who is asking.

Belongs here: the cookie with a pass for visitors without a name, the voter behind a request, and whose a call is.
"""

from contextlib import suppress
from typing import TYPE_CHECKING

from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Scope

from director_diffusion.errors import VoteError
from director_diffusion.studio.studio import Studio

if TYPE_CHECKING:
    import gradio as gr
    from fastapi import Request

COOKIE = "director_pass"
USER = "director.user"  # in a request's scope: who was let in by name
COOKIE_S = 365 * 24 * 3600


def voter_behind(studio: Studio, request: "Request") -> str:
    """The voter behind a request to one of the studio's own routes: the named user where the studio asks for names,
    else the cookie's pass.

    Raises VoteError for a forged pass or none, and where this studio has no booth.
    """
    name = request.scope.get(USER)
    if isinstance(name, str):
        return name
    if studio.booth is None:
        raise VoteError("voting", "has no ledger here", "Set `votes` in the deployment's file.")
    return studio.booth.voter_of(request.cookies.get(COOKIE))


def visitor_behind(studio: Studio, request: "gr.Request") -> str:
    """Whose places in the line a call takes: the named user's where the studio asks for names; else the browser's, by
    its pass; else, without a pass that was made here, the address's."""
    name = user_of(request)
    if name is not None:
        return f"user {name}"
    if studio.booth is not None:
        with suppress(VoteError):
            return f"pass {studio.booth.voter_of(request.cookies.get(COOKIE))}"
    return f"address {request.client.host if request.client else ''}"


def user_of(request: "gr.Request") -> str | None:
    """The named user; None where the studio lets everybody in."""
    name = request.username
    return name if isinstance(name, str) else None


def new_pass(studio: Studio, scope: Scope) -> str | None:
    """A Set-Cookie header with a new pass; None for who has one, or a name, and where nobody votes."""
    if studio.booth is None or USER in scope:
        return None
    request = HTTPConnection(scope)
    try:
        studio.booth.voter_of(request.cookies.get(COOKIE))
    except VoteError:
        response = Response()
        response.set_cookie(
            COOKIE,
            studio.booth.admit(),
            max_age=COOKIE_S,
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )
        return response.headers["set-cookie"]
    return None
