"""Routes of the voting page: a few lines of JSON over the booth.

Belongs here: requests and answers.  No answer says more than the booth does: names, lengths and order of what is in it
are the same whichever arm drew a picture.

    GET  /vote/                 the page, which sets the pass of a visitor without a name
    GET  /vote/choices          directors and recipes on show, and the questions
    POST /vote/next             {director?, recipe?}        -> a ballot, or {"left": 0}
    POST /vote/cast             {token, style, prompt}      -> {"cast": true}
    GET  /vote/picture/<name>   PNG, for once
    GET  /vote/still/<name>     PNG, which the browser keeps: a voter sees the same stills again and again
"""

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from functools import wraps
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from director_diffusion.errors import AlreadyVotedError, DirectorError, VoteError
from director_diffusion.studio.studio import Studio
from director_diffusion.studio.visitors import new_pass, voter_behind
from director_diffusion.voting.booth import Booth
from director_diffusion.voting.questions import ANSWERS, QUESTIONS

MAX_BYTES = 4096  # of a request's body: a token and two answers are a tenth of it
UNREACHABLE = "The ledger or the store cannot be reached. Nothing that was told as cast is lost. Try again in a moment."
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'self'",
}
KEPT = "private, max-age=86400, immutable"
_PAGE = files("director_diffusion.studio.vote") / "page"
_KINDS = {"index.html": "text/html", "booth.js": "text/javascript", "booth.css": "text/css"}

log = logging.getLogger(__name__)

Handler = Callable[..., Awaitable[Response]]


def add_routes(router: APIRouter, studio: Studio) -> None:
    """Add them where there is a booth; elsewhere there is nothing to ask."""
    if studio.booth is None:
        return
    booth, names = studio.booth, {slug: director.name for slug, director in studio.directors.items()}

    @router.get("/vote/")
    async def page(request: Request) -> Response:
        response = _file("index.html")
        if (cookie := new_pass(studio, request.scope)) is not None:
            response.headers["set-cookie"] = cookie
        return response

    @router.get("/vote/booth.js")
    async def script() -> Response:
        return _file("booth.js")

    @router.get("/vote/booth.css")
    async def style() -> Response:
        return _file("booth.css")

    @router.get("/vote/choices")
    @_told
    async def choices() -> Response:
        directors, recipes = await run_in_threadpool(booth.on_show)
        return _answer(
            {
                "directors": {slug: names.get(slug, slug) for slug in directors},
                "recipes": recipes if len(recipes) > 1 else (),  # of a single one there is nothing to choose
                "questions": QUESTIONS,
                "answers": ANSWERS,
            }
        )

    @router.post("/vote/next")
    @_told
    async def next_ballot(request: Request) -> Response:
        given = await _body(request, {"director", "recipe"})
        voter = voter_behind(studio, request)
        ballot = await run_in_threadpool(booth.next_ballot, voter, **given)
        if ballot is None:
            return _answer({"left": 0})
        return _answer({**asdict(ballot), "director": names.get(ballot.director, ballot.director)})

    @router.post("/vote/cast")
    @_told
    async def cast(request: Request) -> Response:
        given = await _body(request, {"token", *QUESTIONS})
        voter, token = voter_behind(studio, request), given.pop("token", None)
        await run_in_threadpool(booth.cast, voter, token, given)
        return _answer({"cast": True})

    @router.get("/vote/picture/{name}")
    @_told
    async def picture(name: str) -> Response:
        return await _png(booth, name, HEADERS)

    @router.get("/vote/still/{name}")
    @_told
    async def still(name: str) -> Response:
        return await _png(booth, name, {**HEADERS, "Cache-Control": KEPT})


async def _png(booth: Booth, name: str, headers: Mapping[str, str]) -> Response:
    try:
        data = await run_in_threadpool(booth.picture, name)
    except VoteError as error:
        return _answer({"error": str(error)}, 404)
    return Response(data, media_type="image/png", headers=headers)


def _file(name: str) -> Response:
    return Response((_PAGE / name).read_bytes(), media_type=_KINDS[name], headers=HEADERS)


def _answer(content: dict[str, Any], status: int = 200) -> Response:
    return JSONResponse(content, status, headers=HEADERS)


def _told(handler: Handler) -> Handler:
    """What went wrong, in words that may be shown: a voter's mistake in the booth's own, the rest without details."""

    @wraps(handler)
    async def told(*args: Any, **kwargs: Any) -> Response:
        try:
            return await handler(*args, **kwargs)
        except AlreadyVotedError as error:
            return _answer({"error": str(error)}, 409)
        except VoteError as error:
            return _answer({"error": str(error)}, 400)
        except DirectorError as error:
            log.error("%s: %s", error.thing, error.problem)
            return _answer({"error": UNREACHABLE}, 503)
        except OSError as error:  # as file systems say that they cannot be reached
            log.error("%s: %s", type(error).__name__, error)
            return _answer({"error": UNREACHABLE}, 503)

    return told


async def _body(request: Request, known: set[str]) -> dict[str, Any]:
    """The fields of a small JSON object.  Raises VoteError for anything else; no more of it is read than is allowed.

    Only `application/json` is taken: a page elsewhere cannot send that without asking first.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise VoteError("the request", "is not application/json", "Send it as the page does.")
    data = b""
    async for part in request.stream():
        data += part
        if len(data) > MAX_BYTES:
            raise VoteError("the request", f"is longer than {MAX_BYTES:,} bytes", "Send it as the page does.")
    try:
        given = json.loads(data)
    except (ValueError, RecursionError):
        raise VoteError("the request", "is not JSON", "Send it as the page does.") from None
    if not isinstance(given, dict) or given.keys() - known:
        raise VoteError("the request", f"is no object of {', '.join(sorted(known))}", "Send it as the page does.")
    return given
