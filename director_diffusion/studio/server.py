"""The server: the web app round the page.

Belongs here: joining page, tabs' own routes and gate.
"""

from collections.abc import Sequence

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.telemetry import TelemetryConfig
from gradio import mount_gradio_app
from gradio.route_utils import FnIndexInferError

from director_diffusion.studio import shelf
from director_diffusion.studio.app import CSS, TABS, Tab, build_app, theme
from director_diffusion.studio.gate import Gate
from director_diffusion.studio.guarded import REFUSED
from director_diffusion.studio.studio import Studio
from director_diffusion.studio.users import Users
from director_diffusion.studio.visitors import USER, new_pass

SILENT: TelemetryConfig = {"auto_configure": False, "tracing": False, "metrics": False, "logs": False}


def build_server(studio: Studio, *, users: Users | None = None, tabs: Sequence[Tab] = TABS) -> FastAPI:
    """The ASGI app.  With `users`, everything asks for a name and a password."""
    app = FastAPI(telemetry=SILENT, docs_url=None, redoc_url=None, openapi_url=None)
    router = APIRouter()
    shelf.add_routes(router, studio.shelf)
    for tab in tabs:
        if tab.add_routes is not None:
            tab.add_routes(router, studio)
    app.include_router(router)
    own = {str(route.path).split("/")[1] for route in router.routes if hasattr(route, "path")}
    app.add_middleware(
        Gate,
        users=users,
        own=own,
        request_bytes=studio.limits.request_bytes,
        welcome=lambda scope: new_pass(studio, scope),
    )
    return mount_gradio_app(
        app,
        build_app(studio, tabs),
        path="/",
        app_kwargs={
            "telemetry": SILENT,
            "exception_handlers": {KeyError: _unknown, FnIndexInferError: _unknown, RequestValidationError: _odd},
        },
        auth_dependency=None if users is None else lambda request: request.scope.get(USER),
        allowed_paths=[],
        footer_links=[],
        run_history=False,
        show_error=False,
        ssr_mode=False,
        enable_monitoring=False,
        mcp_server=False,
        pwa=False,
        theme=theme(),
        css=CSS,
    )


async def _unknown(request: Request, error: Exception) -> Response:
    """A call that the page does not make."""
    return JSONResponse({"detail": "There is no such call."}, status_code=404)


async def _odd(request: Request, error: Exception) -> Response:
    """A body that is no call; FastAPI itself would repeat it."""
    return JSONResponse({"detail": REFUSED}, status_code=422)
