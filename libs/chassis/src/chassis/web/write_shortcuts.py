"""Writes that are answered before they are routed, in the form in which nearly all of them come (ADR 21).

The endpoint is that of the route; what is left out is what finds and calls it, and its transaction is run by the driver
(chassis.db.direct_writing). Whatever is to be refused, or needs more, has left nothing behind and goes on to the route.
"""

import re
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.types import Message, Receive, Scope

from chassis.db.direct_writing import NeedsSession, writing_directly
from chassis.db.failures import explain, sqlstate
from chassis.errors import AppError
from chassis.identity import Principal
from chassis.web.database import Write, bound_of
from chassis.web.handlers import on_app_error
from chassis.web.identity import user_of
from chassis.web.middleware import by_name
from chassis.web.repeating import ATTEMPTS, TIMES, pause_before
from chassis.web.routing import TokenRule, max_values_of, token_rule
from chassis.web.strict_json import check_content_type, parse_json

ID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
ID_CHARACTERS = 36
MOST_BYTES = 64 * 1024
"""How long a body is at most; the route knows what to do with longer ones."""
KEY = b"idempotency-key"

Given = Mapping[bytes, bytes]
Endpoint = Callable[..., Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class WriteShortcut:
    """How something is made, or changed by its id, by JSON with neither a query nor an Idempotency-Key.

    `endpoint` is that of its route. `body` is the model of what it takes, and `is_plain` tells whether what that names
    needs only statements that are made once. `answer` is given the request, the body, the caller and a Write, and for
    a change the id.
    """

    endpoint: Endpoint
    body: type[BaseModel]
    is_plain: Callable[[Any], bool]
    answer: Endpoint


class WayOfWrite:
    """A shortcut of a write, with what its route says."""

    def __init__(self, shortcut: WriteShortcut, route: APIRoute) -> None:
        [self.method] = sorted(route.methods or [])
        self.path, *self._names = route.path.split("{")
        self._shortcut = shortcut
        self._route = route
        self._rule: TokenRule | None = token_rule(shortcut.endpoint)

    async def answered(self, scope: Scope, receive: Receive) -> tuple[Response | None, Receive]:
        """Return the answer, if there is one, and what gives the body to whoever answers otherwise."""
        given, name = by_name(scope["headers"]), scope["path"][len(self.path) :]
        is_named = ID.fullmatch(name) is not None if self._names else not name
        if scope["query_string"] or not is_named or KEY in given or not _is_short(given):
            return None, receive
        messages = await _whole_body(receive)
        answer = await self._answered(Request(scope, _again(messages, receive)), given, messages)
        return answer, _again(messages, receive)

    async def _answered(self, request: Request, given: Given, messages: Sequence[Message]) -> Response | None:
        try:
            caller = user_of(request.app.state.identities, given, self._rule, method=self.method)
            body = None if caller is None else self._body(given, messages)
            answer = None if caller is None or body is None else await self._written(request, caller, body)
        except (AppError, ValidationError, NeedsSession):
            return None
        except (SQLAlchemyError, OSError) as error:
            state = sqlstate(error)
            if state in TIMES:
                # It was rolled back, and the route tries again. Of a connection that was lost nobody knows.
                request.scope[ATTEMPTS] = 1
                await pause_before(1, state)
                return None
            answer = await on_app_error(request, explain(error))
        return answer

    def _body(self, given: Given, messages: Sequence[Message]) -> BaseModel | None:
        """Return the body; None where it needs more, or has not come. Raises AppError, ValidationError."""
        if messages[-1]["type"] != "http.request" or messages[-1].get("more_body", False):
            return None
        encoding = given.get(b"content-encoding")
        check_content_type(_text(given.get(b"content-type")), _text(encoding))
        value = parse_json(b"".join(map(_part, messages)), max_values=max_values_of(self._shortcut.endpoint))
        body = self._shortcut.body.model_validate(value)
        return body if self._shortcut.is_plain(body) else None

    async def _written(self, request: Request, caller: Principal, body: BaseModel) -> Response:
        state, scope = request.app.state, request.scope
        # What the route's policy is asked of, and what the log and the metrics tell.
        scope["route"] = self._route
        named = (UUID(scope["path"][len(self.path) :]),) if self._names else ()
        async with writing_directly(state.database, bound_of(request)) as transaction:
            # All of a session that it has not raises NeedsSession.
            session = cast("AsyncSession", transaction)
            write = Write(session, state.idempotency_table, caller, None)
            return await self._shortcut.answer(request, body, caller, write, *named)


def _is_short(given: Given) -> bool:
    length = given.get(b"content-length", b"")
    return length.isdigit() and len(length) <= len(str(MOST_BYTES)) and int(length) <= MOST_BYTES


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")


async def _whole_body(receive: Receive) -> Sequence[Message]:
    """Return the messages that a body comes in, up to its end or that of the connection, and no more than is short."""
    messages = [await receive()]
    left = MOST_BYTES - len(_part(messages[-1]))
    while left >= 0 and messages[-1]["type"] == "http.request" and messages[-1].get("more_body", False):
        messages.append(await receive())
        left -= len(_part(messages[-1]))
    return messages


def _part(message: Message) -> bytes:
    part: bytes = message.get("body", b"")
    return part


def _again(messages: Sequence[Message], receive: Receive) -> Receive:
    """Return what gives these messages once more, and then those that come."""
    pending = deque(messages)

    async def receive_again() -> Message:
        return pending.popleft() if pending else await receive()

    return receive_again
