"""Every way a request can fail, as an envelope."""

from collections.abc import Iterator
from typing import cast

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp

from chassis.errors import (
    AppError,
    ErrorKind,
    MalformedRequest,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    UnsupportedMediaType,
)
from chassis.web.replies import refuse
from chassis.web.routing import names_given
from chassis.web.status import STATUS_OF_KIND
from chassis.web.validation import invalid_body

log = structlog.get_logger()

OF_STATUS: dict[int, type[AppError]] = {
    404: NotFound,
    413: PayloadTooLarge,
    415: UnsupportedMediaType,
}
SECURITY_KINDS = frozenset({ErrorKind.UNAUTHENTICATED, ErrorKind.FORBIDDEN})


class RaisingApp(FastAPI):
    """FastAPI that raises its crashes to what is around it: Starlette would answer them first, with a plain text."""

    def build_middleware_stack(self) -> ASGIApp:
        """Return the app with all that is around it but that."""
        app = super().build_middleware_stack()
        return app.app if isinstance(app, ServerErrorMiddleware) else app


def install_handlers(app: FastAPI) -> None:
    """Register the handlers of everything that the web layer itself can raise."""
    app.add_exception_handler(AppError, on_app_error)
    app.add_exception_handler(RequestValidationError, on_validation_error)
    app.add_exception_handler(HTTPException, on_http_exception)


async def on_app_error(request: Request, error: Exception) -> Response:
    refusal = cast("AppError", error)
    if STATUS_OF_KIND[refusal.kind] >= 500:  # noqa: PLR2004 - the server's own faults
        log.error("request.failed", code=refusal.code, detail=refusal.log_detail, path=request.scope["path"])
    elif refusal.kind in SECURITY_KINDS:
        log.warning("request.denied", code=refusal.code, detail=refusal.log_detail, path=request.scope["path"])
    return refuse(refusal)


async def on_validation_error(request: Request, error: Exception) -> Response:
    problem = cast("RequestValidationError", error)
    entries = problem.errors()
    if any(entry["loc"][0] == "path" and entry["loc"][1] not in names_given(request) for entry in entries):
        # An id that can't be one names nothing: the same answer as for an id that nobody has.
        return refuse(NotFound())
    return refuse(invalid_body(request.scope.get("route"), entries))


async def on_http_exception(request: Request, error: Exception) -> Response:
    problem = cast("HTTPException", error)
    if problem.status_code == 405:  # noqa: PLR2004 - Starlette's own refusal of a method
        return refuse(MethodNotAllowed(headers={"allow": ", ".join(allowed_methods(request))}))
    return refuse(OF_STATUS.get(problem.status_code, MalformedRequest)())


def allowed_methods(request: Request) -> list[str]:
    """Return all methods of the path; Starlette's answer names only those of the first route that matches."""
    methods: set[str] = set()
    plain = [route for route in request.app.routes if isinstance(route, Route)]
    for route in [*api_routes(request.app.state.routers), *plain]:
        match, _ = route.matches({**request.scope, "type": "http"})
        if match is not Match.NONE:
            methods |= route.methods or set()
    return _told(methods)


def _told(methods: set[str]) -> list[str]:
    """Return methods as they are told, with HEAD where there is GET."""
    return sorted(methods | {"HEAD"} if "GET" in methods else methods)


def fixed_paths(routers: tuple[object, ...]) -> dict[str, list[str]]:
    """Return the methods of each path that has no parameters: what it is called names nothing else."""
    found: dict[str, set[str]] = {}
    for route in api_routes(routers):
        if not route.param_convertors:
            found.setdefault(route.path, set()).update(route.methods or ())
    return {path: _told(methods) for path, methods in found.items()}


def api_routes(routers: tuple[object, ...]) -> Iterator[APIRoute]:
    """Walk our own routers: FastAPI hides the routes of included routers from `app.routes`."""
    for router in routers:
        routes: list[BaseRoute] = getattr(router, "routes", [])
        yield from (route for route in routes if isinstance(route, APIRoute))
