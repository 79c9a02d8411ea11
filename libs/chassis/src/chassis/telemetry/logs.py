"""Structured logs: one event a line, UTC, with the request's and the trace's id, and no secrets (R65)."""

import io
import logging
import re
import sys
from collections.abc import Iterable, Mapping, MutableMapping
from contextlib import suppress
from contextvars import Context, ContextVar
from functools import lru_cache
from typing import Any, TextIO, cast

import orjson
import structlog
from structlog.contextvars import merge_contextvars
from structlog.processors import add_log_level, format_exc_info

from chassis.clock import utcnow

REDACTED = "[redacted]"
SECRET_NAMES = re.compile(
    r"authorization|cookie|password|passwd|secret|token|ticket|api_?key|private_?key|otp", re.IGNORECASE
)
UTC_OFFSET = len("+00:00")
HARMLESS_NAMES = frozenset({"token_type", "token_id"})
EMAIL_LOCAL_PART = re.compile(r"[^\s@<>\"']+(?=@[\w-]+\.[\w.-]+)")


class UnfailingStderr(io.TextIOBase):
    """Standard error, and nowhere when that can't be written: a full disk ends the log and nothing else."""

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):
            sys.stderr.write(text)
            sys.stderr.flush()
        return len(text)


LINE = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE
LOG = cast("TextIO", UnfailingStderr())
log = structlog.get_logger()


def _variables_of_ids() -> tuple[ContextVar[Any], ContextVar[Any]]:
    """Return where structlog keeps what is bound by these two names."""
    bound = structlog.contextvars.bind_contextvars(request_id=None, trace_id=None)  # noqa: TID251 - the one place
    return bound["request_id"].var, bound["trace_id"].var


REQUEST_ID, TRACE_ID = Context().run(_variables_of_ids)


def bind_ids(*, request_id: str, trace_id: str) -> None:
    """Have every line of this task say so, instead of the ids that were bound before.

    For requests, in which nothing else is bound: what was would be in the lines of the connection's next request too.
    """
    REQUEST_ID.set(request_id)
    TRACE_ID.set(trace_id)


class RequestLines:
    """Writes the lines that tell of requests and messages, in one go: by structlog it was a tenth of what a read costs.

    They are what structlog writes where it is configured by us to write JSON; where it is not, structlog writes them.
    """

    def __init__(self) -> None:
        self._service = ""
        self._configured: list[Any] | None = None

    def configure(self, *, service: str, directly: bool) -> None:
        """Note that structlog is configured, and whether these lines need not go through it."""
        self._service = service
        self._configured = _configuration() if directly else None

    def write(self, event: str, *, method: str, route: str, status: int, ms: float) -> None:
        """Write the line of a request; `ms` is how long it took.

        There is nothing to redact: the fields are words and numbers of ours, and no id has an `@` (chassis.context).
        """
        request_id, trace_id = REQUEST_ID.get(), TRACE_ID.get()
        if trace_id is ... or self._configured is None or _configuration() != self._configured:
            log.info(event, method=method, route=route, status=status, ms=ms)
            return
        line = {
            "method": method,
            "route": route,
            "status": status,
            "ms": ms,
            "event": event,
            "request_id": request_id,
            "trace_id": trace_id,
            "level": "info",
            "at": utcnow(),
            "service": self._service,
        }
        LOG.write(orjson.dumps(line, option=LINE).decode())

    def write_all(self, event: str, rows: Iterable[Mapping[str, str]]) -> None:
        """Write a line for each row, all at once. The rows say whose requests they are; no field has a secret name."""
        if self._configured is None or _configuration() != self._configured:
            for row in rows:
                log.info(event, **row)
            return
        common = {"event": event, "level": "info", "at": utcnow(), "service": self._service}
        lines = ({**{name: _redacted(None, value) for name, value in row.items()}, **common} for row in rows)
        LOG.write(b"".join(orjson.dumps(line, option=LINE) for line in lines).decode())


REQUEST_LINES = RequestLines()


def _configuration() -> list[Any]:
    """Return what structlog makes a line of, and where it goes: tests catch lines by changing it."""
    now = structlog.get_config()
    return [*now["processors"], now["wrapper_class"], now["logger_factory"]]


def configure_logs(*, service: str, level: str, form: str) -> None:
    """Send everything, the libraries' own logs included, to stderr: `form` is `json` or `console`."""
    shared = [_complete(service)]
    render: list[structlog.typing.Processor] = (
        [_as_json]
        if form == "json"
        # The renderer's own tracebacks show local variables, passwords among them.
        else [
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
        ]
    )
    structlog.configure(
        processors=[*shared, *render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(LOG),
        cache_logger_on_first_use=True,
    )
    lowest = logging.getLevelNamesMapping()[level]
    REQUEST_LINES.configure(service=service, directly=form == "json" and lowest <= logging.INFO)
    handler = logging.StreamHandler(LOG)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=_foreign(render)))
    logging.root.handlers = [handler]
    logging.root.setLevel(max(lowest, logging.WARNING))


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Blank values whose name says that they are secret, and the local part of e-mail addresses."""
    for name, value in event.items():
        event[name] = _redacted(name, value)
    return event


def _redacted(name: object, value: Any) -> Any:
    if isinstance(name, str) and _is_secret(name):
        return REDACTED
    if isinstance(value, str):
        return EMAIL_LOCAL_PART.sub("***", value) if "@" in value else value
    if value is None or isinstance(value, (int, float)):
        return value
    if isinstance(value, Mapping):
        return {key: _redacted(key, item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted(None, item) for item in value]
    return value


def _foreign(render: list[structlog.typing.Processor]) -> list[structlog.typing.Processor]:
    return [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render]


def _complete(service: str) -> structlog.typing.Processor:
    """Return what adds to an event all that every line has.

    One processor and not six, since each request writes a line: as a chain it was a tenth of the gateway's CPU.
    """

    def complete(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event = add_log_level(logger, method, merge_contextvars(logger, method, event))
        event["at"] = utcnow().isoformat()[:-UTC_OFFSET] + "Z"
        event["service"] = service
        if "exc_info" in event:
            event = format_exc_info(logger, method, event)
        return redact(logger, method, event)

    return complete


@lru_cache(maxsize=1024)
def _is_secret(name: str) -> bool:
    return SECRET_NAMES.search(name) is not None and name not in HARMLESS_NAMES


def _as_json(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
