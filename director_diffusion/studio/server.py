"""The server: the web app round the page.

Belongs here: what is decided before a request reaches a tab.
"""

from fastapi import APIRouter, FastAPI, Request, Response
from gradio import mount_gradio_app
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint

from director_diffusion.errors import VoteError
from director_diffusion.studio.app import TABS, build_app
from director_diffusion.studio.studio import Studio
from director_diffusion.studio.visitors import COOKIE, COOKIE_S


def build_server(studio: Studio) -> FastAPI:
    """The ASGI app: the page, and the routes of its tabs."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    router = APIRouter()
    for tab in TABS:
        if tab.add_routes is not None:
            tab.add_routes(router, studio)
    app.include_router(router)

    async def admit(request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        if studio.booth is not None and request.url.path == "/":
            try:
                studio.booth.voter_of(request.cookies.get(COOKIE))
            except VoteError:
                response.set_cookie(COOKIE, studio.booth.admit(), max_age=COOKIE_S, httponly=True, samesite="lax")
        return response

    app.add_middleware(BaseHTTPMiddleware, dispatch=admit)
    return mount_gradio_app(
        app,
        build_app(studio),
        path="/",
        allowed_paths=[],
        footer_links=[],
        run_history=False,
        show_error=False,
        ssr_mode=False,
        enable_monitoring=False,
    )
