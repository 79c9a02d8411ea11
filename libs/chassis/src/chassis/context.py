"""What belongs to the request being served: its id and its trace, for answers, logs, changes and events."""

import re
from contextvars import ContextVar
from dataclasses import dataclass

from chassis.ids import uuid7
from chassis.telemetry.tracing import new_traceparent

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


@dataclass(frozen=True, slots=True)
class RequestContext:
    """What goes from hop to hop: `request_id` is 8 to 64 of `A-Z a-z 0-9 . _ -`; `traceparent` is W3C's.

    `client_address` and `client_device` are the address that the gateway saw and what the client calls itself, both
    None where no client stands behind.
    """

    request_id: str
    traceparent: str
    client_address: str | None = None
    client_device: str | None = None


_current: ContextVar[RequestContext | None] = ContextVar("taskloom_request", default=None)


def bind_request(context: RequestContext) -> None:
    """Make `context` the current one of this task and the tasks that it starts."""
    _current.set(context)


def current_request() -> RequestContext:
    """Return the current context; a fresh one outside any request."""
    context = _current.get()
    if context is None:
        context = RequestContext(str(uuid7()), new_traceparent())
        _current.set(context)
    return context


def valid_request_id(value: str | None) -> str | None:
    """Return the value when it is an acceptable request id, else None."""
    return value if value and REQUEST_ID.fullmatch(value) else None
