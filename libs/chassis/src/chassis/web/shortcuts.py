"""Reads that are answered before they are routed, in the form in which nearly all of them come (ADR 19).

A shortcut answers what is there for whoever may see it, and nothing else: whatever is to be refused, or is asked for in
any other form, goes on to the route, which decides anew. So a shortcut can only ever be faster than its route.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import fastapi
from fastapi import Request, Response
from fastapi.routing import APIRoute
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import ASGIApp, Receive, Scope, Send

from chassis.db.failures import explain, is_lost, sqlstate
from chassis.errors import AppError
from chassis.identity import Principal
from chassis.web.handlers import api_routes, on_app_error
from chassis.web.identity import HEADER, IdentityCache, check_token
from chassis.web.middleware import ASKED_METHOD
from chassis.web.repeating import TIMES
from chassis.web.routing import TokenRule, token_rule

ID_CHARACTERS = 36
ID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")

Answer = Callable[[Request, Principal, UUID], Awaitable[Response | None]]


@dataclass(frozen=True, slots=True)
class Shortcut:
    """How a read of one resource by its id is answered; None for what the caller does not see.

    `endpoint` is that of its route, and `other_forms` are headers, in small letters, with which that is asked instead.
    """

    endpoint: Callable[..., Any]
    answer: Answer
    other_forms: frozenset[bytes] = frozenset()


@dataclass(frozen=True, slots=True)
class _Way:
    """A shortcut, with what its route says."""

    shortcut: Shortcut
    route: APIRoute
    rule: TokenRule | None


class Shortcuts:
    """Answers by shortcut what one is there for."""

    def __init__(self, app: ASGIApp, *, routers: tuple[fastapi.APIRouter, ...], shortcuts: Sequence[Shortcut]) -> None:
        self._app = app
        self._ways = _ways(routers, shortcuts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._found(scope)
        answer = None if found is None else await self._answered(scope, *found)
        await (self._app if answer is None else answer)(scope, receive, send)

    def _found(self, scope: Scope) -> tuple[_Way, UUID] | None:
        """Return the shortcut that a request is one for, and the id that it names."""
        if scope["type"] != "http" or scope["method"] != "GET" or scope["query_string"] or ASKED_METHOD in scope:
            return None
        path: str = scope["path"]
        way = self._ways.get(path[:-ID_CHARACTERS])
        if way is None or ID.fullmatch(path[-ID_CHARACTERS:]) is None:
            return None
        if any(name in way.shortcut.other_forms for name, _ in scope["headers"]):
            return None
        return way, UUID(path[-ID_CHARACTERS:])

    async def _answered(self, scope: Scope, way: _Way, resource_id: UUID) -> Response | None:
        request = Request(scope)
        identities: IdentityCache = request.app.state.identities
        try:
            caller = identities.principal(request.headers.get(HEADER))
            check_token(caller, way.rule)
        except AppError:
            return None
        if caller.kind != "user":
            return None
        try:
            answer = await way.shortcut.answer(request, caller, resource_id)
        except (SQLAlchemyError, OSError) as error:
            if is_lost(error) or sqlstate(error) in TIMES:
                # The route asks again, perhaps of another server.
                return None
            # What the route would say, without waiting as long a second time.
            answer = await on_app_error(request, explain(error))
        if answer is not None:
            scope["route"] = way.route
        return answer


def _ways(routers: tuple[fastapi.APIRouter, ...], shortcuts: Sequence[Shortcut]) -> Mapping[str, _Way]:
    """Return the shortcuts by what stands before the id in the paths of their routes."""
    ways: dict[str, _Way] = {}
    by_endpoint = {route.endpoint: route for route in api_routes(routers)}
    for one in shortcuts:
        route = by_endpoint[one.endpoint]
        ways[route.path[: route.path.index("{")]] = _Way(one, route, token_rule(one.endpoint))
    return ways
