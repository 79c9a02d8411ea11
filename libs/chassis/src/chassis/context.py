"""What belongs to the request being served: its id and its trace, for answers, logs, changes and events; its client."""

import ipaddress
import re
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property

from chassis.ids import uuid7_text
from chassis.telemetry.tracing import new_traceparent
from chassis.text import printable

HAS_WRITTEN = "x-taskloom-has-written"
"""The field by which the gateway says that the user of a request has written a moment ago."""
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


@dataclass(frozen=True)
class RequestContext:
    """What goes from hop to hop: `request_id` is 8 to 64 of `A-Z a-z 0-9 . _ -`; `traceparent` is W3C's.

    `told_address` and `told_device` are what the request says of its client, unchecked. Few requests want to know
    that, so it is read when it is asked for. `has_written` says that its user has written a moment ago (R41).
    """

    request_id: str
    traceparent: str
    told_address: str | None = None
    told_device: str | None = None
    has_written: bool = False

    @cached_property
    def client_address(self) -> str | None:
        """The address that the gateway saw, in its usual form; None without a client behind, and for what is none."""
        try:
            return str(ipaddress.ip_address(self.told_address)) if self.told_address else None
        except ValueError:
            return None

    @cached_property
    def client_device(self) -> str | None:
        """What the client calls itself, at most 200 printable characters; None when that is nothing."""
        return printable(self.told_device or "") or None


_current: ContextVar[RequestContext | None] = ContextVar("taskloom_request", default=None)


def bind_request(context: RequestContext) -> None:
    """Make `context` the current one of this task and the tasks that it starts."""
    _current.set(context)


def current_request() -> RequestContext:
    """Return the current context; a fresh one outside any request."""
    context = _current.get()
    if context is None:
        context = RequestContext(uuid7_text(), new_traceparent())
        _current.set(context)
    return context


def has_just_written() -> bool:
    """Tell whether the user of the current request has written a moment ago; nobody has outside any request."""
    context = _current.get()
    return context is not None and context.has_written


def valid_request_id(value: str | None) -> str | None:
    """Return the value when it is an acceptable request id, else None."""
    return value if value and REQUEST_ID.fullmatch(value) else None
