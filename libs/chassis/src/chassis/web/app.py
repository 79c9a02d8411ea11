"""Making the app of a service: everything that no service should have to remember."""

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from types import MappingProxyType
from typing import Any

import fastapi
from fastapi import FastAPI
from fastapi.routing import APIRoute
from sqlalchemy.exc import SQLAlchemyError
from starlette.middleware.body_limit import RequestBodyLimitResponder
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from chassis.db.failures import explain
from chassis.outbox.contracts import EventContract
from chassis.telemetry.tracing import SPANS
from chassis.web.database import Replay, replayed
from chassis.web.events import serve_events
from chassis.web.handlers import RaisingApp, api_routes, fixed_paths, install_handlers, on_app_error
from chassis.web.health import Health, health_routes
from chassis.web.identity import calling_service, current_principal
from chassis.web.middleware import CrashesInEnvelope, RequestMiddleware
from chassis.web.openapi import complete_document, serve_document
from chassis.web.routing import PUBLIC_MARK, StrictRoute, all_of, operation_id, policy_of, serve_routes, token_rule
from chassis.web.shortcuts import ListShortcut, Shortcut, Shortcuts
from chassis.web.validation import FIELD_CODES
from chassis.web.write_shortcuts import WriteShortcut

NONE_OF_ITS_OWN: Mapping[str, str] = MappingProxyType({})
MAX_BODY_BYTES = 1024 * 1024
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


class UnguardedRoute(Exception):
    """A route declares neither an identity nor that it is public: the service does not start."""


class ThreadedDependency(Exception):
    """A dependency is no coroutine: FastAPI would have a thread call it, for each request."""


class APIRouter(fastapi.APIRouter):
    """A router whose routes are strict (chassis.web.routing)."""

    def __init__(self, *, prefix: str, tags: Sequence[str]) -> None:
        super().__init__(
            prefix=prefix,
            tags=list(tags),
            route_class=StrictRoute,
            generate_unique_id_function=operation_id,
        )


class ServiceApp(RaisingApp):
    """FastAPI with what is ours around what it puts around every request, which shortcuts therefore go without."""

    before_routes: Callable[[ASGIApp], ASGIApp] | None = None

    def build_middleware_stack(self) -> ASGIApp:
        """Return the app with all that is around it."""
        app = super().build_middleware_stack()
        return RequestMiddleware(app if self.before_routes is None else self.before_routes(app))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer at once where FastAPI would only look whether there is a span to be made."""
        if scope["type"] != "http" or self.middleware_stack is None or self.root_path or SPANS.are_recorded:
            await super().__call__(scope, receive, send)
            return
        scope["app"] = self
        await self.middleware_stack(scope, receive, send)


def create_app(
    *,
    title: str,
    routers: tuple[fastapi.APIRouter, ...],
    health: Health,
    state: Mapping[str, Any],
    lifespan: Lifespan | None = None,
    field_codes: Mapping[str, str] = NONE_OF_ITS_OWN,
    actions: Collection[str] | None = None,
    events: Sequence[EventContract] = (),
    shortcuts: Sequence[Shortcut | ListShortcut | WriteShortcut] = (),
) -> FastAPI:
    """Return the app of a service.

    `actions` are all that a route's policy may name, in a service that decides by policies: then every route for users
    has one. `events` are those that the service publishes, and `shortcuts` answer what is asked for most.
    `field_codes` are codes about single fields that are the service's own, with a sentence each. `state` is what the
    request dependencies of chassis.web look for: `database`, `identities`, `idempotency_table`, and whatever the
    service's own need; `answers_by` is how its handlers are called (chassis.web.repeating).
    Raises UnguardedRoute, ThreadedDependency.
    """
    app = ServiceApp(
        title=title,
        version="1",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        max_body_size=MAX_BODY_BYTES,
        telemetry={"operation_spans": False},
        routes=[*health_routes(health)],
    )
    refuse_unguarded_routes(routers, actions)
    refuse_threads(routers)
    serve_routes(app, routers)
    app.state.routers = routers
    app.state.fixed_paths = fixed_paths(routers)
    for name, value in state.items():
        setattr(app.state, name, value)
    install_handlers(app)
    app.add_exception_handler(SQLAlchemyError, _on_database_failure)
    app.add_exception_handler(OSError, _on_database_failure)
    app.add_exception_handler(Replay, _on_replay)
    app.add_middleware(CrashesInEnvelope)
    app.add_middleware(BodyLimitInEnvelope)
    app.before_routes = partial(Shortcuts, routers=routers, shortcuts=shortcuts) if shortcuts else None
    complete_document(app, routers, {**FIELD_CODES, **field_codes})
    serve_document(app)
    serve_events(app, events)
    return app


class BodyLimitInEnvelope:
    """Lets a body that is too large be refused by us.

    Starlette replaces whatever we answer to a request whose declared length is above the limit by a plain text of
    its own. Not knowing the declared length, it counts what comes, and raises what our handlers know.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        for value in scope.values():
            if isinstance(value, RequestBodyLimitResponder):
                value.content_length = None
        await self._app(scope, receive, send)


def refuse_unguarded_routes(routers: tuple[fastapi.APIRouter, ...], actions: Collection[str] | None = None) -> None:
    """Raise UnguardedRoute for a route with neither an identity nor a reason to be public, or with both.

    A route for users also says what it asks of API tokens; no other route does. With `actions` it also says which of
    them its caller has to be allowed, or that there is none.
    """
    for route in api_routes(routers):
        name = f"{sorted(route.methods or ())} {route.path}"
        if is_guarded(route) == hasattr(route.endpoint, PUBLIC_MARK):
            raise UnguardedRoute(f"{name}: an identity, or a reason to be public")
        if takes_users(route) != (token_rule(route.endpoint) is not None):
            raise UnguardedRoute(f"{name}: a scope for API tokens, where users call and only there")
        if actions is not None and takes_users(route) and not _has_policy(route, actions):
            raise UnguardedRoute(f"{name}: a policy, or a reason to have none")


def refuse_threads(routers: tuple[fastapi.APIRouter, ...]) -> None:
    """Raise ThreadedDependency for a dependency of a route that is no coroutine.

    The way to a thread and back costs a request 60 us of CPU, and with three of them a read a fifth of its time.
    """
    for route in api_routes(routers):
        for dependency in all_of(route.dependant):
            call = inspect.unwrap(dependency.call) if dependency.call else None
            if not (inspect.iscoroutinefunction(call) or inspect.isasyncgenfunction(call)):
                raise ThreadedDependency(f"{sorted(route.methods or ())} {route.path}: {call}")


def _has_policy(route: APIRoute, actions: Collection[str]) -> bool:
    found = policy_of(route.endpoint)
    return found is not None and (found.action is None or found.action in actions)


def is_guarded(route: APIRoute) -> bool:
    """Tell whether the route asks for an identity anywhere among its dependencies."""
    return _depends_on(route, (current_principal, calling_service))


def takes_users(route: APIRoute) -> bool:
    """Tell whether the route asks for the identity of a user."""
    return _depends_on(route, (current_principal,))


def _depends_on(route: APIRoute, calls: tuple[Callable[..., Any], ...]) -> bool:
    return any(one.call in calls for one in all_of(route.dependant))


async def _on_database_failure(request: Request, error: Exception) -> Response:
    if not isinstance(error, SQLAlchemyError | OSError):
        raise error
    return await on_app_error(request, explain(error))


async def _on_replay(_request: Request, replay: Exception) -> Response:
    if not isinstance(replay, Replay):
        raise replay
    return replayed(replay.answer)
