"""Services that are none: they note what they are asked, and answer what a test has them answer."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.types import Receive, Scope, Send

Behaviour = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass
class Received:
    """A request as a service saw it."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        """Return the values of a header, as often as it was there."""
        return [value for given, value in self.headers if given == name]


async def answer(
    send: Send, status: int = 200, body: bytes = b"{}", headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    """Answer a request."""
    fields = headers if headers is not None else [(b"content-type", b"application/json")]
    length = [] if status in (204, 304) else [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": [*length, *fields]})
    await send({"type": "http.response.body", "body": body})


async def whole_body(receive: Receive) -> bytes:
    """Return the body of a request, all of it."""
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if not message.get("more_body"):
            return body


class Service:
    """Records and answers `{}`, unless `behave` says something else. Sockets echo, unless `behave_socket` does."""

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self.sockets: list[Scope] = []
        self.behave: Behaviour | None = None
        self.behave_socket: Behaviour | None = None
        self.document: Any = {"openapi": "3.1.0", "info": {"title": "x", "version": "1"}, "paths": {}}
        self.events: Any = {"events": [], "components": {"schemas": {}}}

    def reset(self) -> None:
        """Forget what was asked, and how to behave."""
        self.requests, self.sockets = [], []
        self.behave = self.behave_socket = None

    @property
    def last(self) -> Received:
        """What was asked last."""
        return self.requests[-1]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            self.sockets.append(scope)
            await (self.behave_socket or echo)(scope, receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/openapi.json":
            await answer(send, body=orjson.dumps(self.document))
        elif scope["path"] == "/internal/events":
            await answer(send, body=orjson.dumps(self.events))
        elif scope["path"] == "/readyz":
            await answer(send)
        else:
            headers = [(name.decode(), value.decode("latin-1")) for name, value in scope["headers"]]
            target = (scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")).decode()
            received = Received(scope["method"], target, headers, b"")
            self.requests.append(received)
            if self.behave is not None:
                await self.behave(scope, receive, send)
                return
            received.body = await whole_body(receive)
            await answer(send)


async def echo(_scope: Scope, receive: Receive, send: Send) -> None:
    """Send back what comes, and close as one is told to."""
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        text = message.get("text")
        if text is not None and text.startswith("close "):
            _, code, reason = text.split(" ", 2)
            await send({"type": "websocket.close", "code": int(code), "reason": reason})
            return
        await send({"type": "websocket.send", **{key: message[key] for key in ("text", "bytes") if key in message}})
