"""What is answered before it is routed, in the form in which nearly all of it comes: reads (ADR 19), and writes.

A shortcut answers what is there for whoever may see it, or what has been done, and nothing else: whatever is to be
refused, or is asked for in any other form, goes on to the route, which decides anew. So a shortcut can only ever be
faster than its route.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl
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
from chassis.web.identity import user_of
from chassis.web.middleware import ASKED_METHOD, by_name
from chassis.web.repeating import TIMES
from chassis.web.routing import TokenRule, token_rule
from chassis.web.write_shortcuts import ID, ID_CHARACTERS, WayOfWrite, WriteShortcut

Asked = Mapping[str, Sequence[str]]
"""The parameters of a query, each with what it was given, in the order in which it came."""


@dataclass(frozen=True, slots=True)
class Shortcut:
    """How a read of one resource by its id is answered; None for what the caller does not see.

    `endpoint` is that of its route, and `other_forms` are headers, in small letters, with which that is asked instead.
    """

    endpoint: Callable[..., Any]
    answer: Callable[[Request, Principal, UUID], Awaitable[Response | None]]
    other_forms: frozenset[bytes] = frozenset()


@dataclass(frozen=True, slots=True)
class ListShortcut:
    """How a list is answered that is asked for by `parameters` alone; None, or an AppError, where the route is to say.

    `endpoint` and `other_forms` are what they are of a Shortcut.
    """

    endpoint: Callable[..., Any]
    answer: Callable[[Request, Principal, Asked], Awaitable[Response | None]]
    parameters: frozenset[str]
    other_forms: frozenset[bytes] = frozenset()


@dataclass(frozen=True, slots=True)
class _Way:
    """A shortcut, with what its route says."""

    shortcut: Shortcut | ListShortcut
    route: APIRoute
    rule: TokenRule | None

    def asked(self, scope: Scope, given: Mapping[bytes, bytes]) -> Any:
        """Return the id or the parameters that a request asks by; None for one in another form. `given` are headers."""
        if not self.shortcut.other_forms.isdisjoint(given):
            return None
        if isinstance(self.shortcut, ListShortcut):
            return _parameters(scope["query_string"], self.shortcut.parameters)
        name = scope["path"][-ID_CHARACTERS:]
        return None if scope["query_string"] or ID.fullmatch(name) is None else UUID(name)


class Shortcuts:
    """Answers by shortcut what one is there for."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        routers: tuple[fastapi.APIRouter, ...],
        shortcuts: Sequence[Shortcut | ListShortcut | WriteShortcut],
    ) -> None:
        self._app = app
        by_endpoint = {route.endpoint: route for route in api_routes(routers)}
        writes = [WayOfWrite(one, by_endpoint[one.endpoint]) for one in shortcuts if isinstance(one, WriteShortcut)]
        self._writes = {(way.method, way.path): way for way in writes}
        ways = _ways(by_endpoint, [one for one in shortcuts if not isinstance(one, WriteShortcut)])
        self._lists = {path: way for path, way in ways.items() if isinstance(way.shortcut, ListShortcut)}
        self._by_id = {path: way for path, way in ways.items() if path not in self._lists}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = None
        if scope["type"] == "http" and ASKED_METHOD not in scope:
            if scope["method"] == "GET":
                answer = await self._answered(scope)
            elif (way := self._way_of_write(scope["method"], scope["path"])) is not None:
                answer, receive = await way.answered(scope, receive)
        await (self._app if answer is None else answer)(scope, receive, send)

    def _way_of_write(self, method: str, path: str) -> WayOfWrite | None:
        return self._writes.get((method, path)) or self._writes.get((method, path[:-ID_CHARACTERS]))

    async def _answered(self, scope: Scope) -> Response | None:
        path: str = scope["path"]
        way = self._lists.get(path) or self._by_id.get(path[:-ID_CHARACTERS])
        if way is None:
            return None
        given = by_name(scope["headers"])
        asked = way.asked(scope, given)
        if asked is None:
            return None
        request = Request(scope)
        try:
            caller = user_of(scope["app"].state.identities, given, way.rule)
            answer = None if caller is None else await way.shortcut.answer(request, caller, asked)
        except AppError:
            return None
        except (SQLAlchemyError, OSError) as error:
            if is_lost(error) or sqlstate(error) in TIMES:
                # The route asks again, perhaps of another server.
                return None
            # What the route would say, without waiting as long a second time.
            answer = await on_app_error(request, explain(error))
        if answer is not None:
            scope["route"] = way.route
        return answer


def _parameters(query: bytes, known: frozenset[str]) -> Asked | None:
    """Return the parameters of a query, as Starlette reads them; None where there are others, or U+0000."""
    given: dict[str, list[str]] = {}
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name not in known or "\0" in value:
            return None
        given.setdefault(name, []).append(value)
    return given


def _ways(
    by_endpoint: Mapping[Callable[..., Any], APIRoute], shortcuts: Sequence[Shortcut | ListShortcut]
) -> Mapping[str, _Way]:
    """Return the shortcuts of reads by the paths of their routes, up to the id where there is one."""
    ways: dict[str, _Way] = {}
    for one in shortcuts:
        route = by_endpoint[one.endpoint]
        path = route.path if isinstance(one, ListShortcut) else route.path[: route.path.index("{")]
        ways[path] = _Way(one, route, token_rule(one.endpoint))
    return ways
