"""Errors as facts: a stable code, a kind, a public sentence. What status a kind becomes is chassis.web's affair."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from chassis.text import closest, hint_at


class ErrorKind(StrEnum):
    """What sort of refusal an error is; chassis.web maps each kind to one HTTP status."""

    UNPARSABLE = "unparsable"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    NOT_ACCEPTABLE = "not_acceptable"
    TIMEOUT = "timeout"
    CONFLICT = "conflict"
    GONE = "gone"
    STALE = "stale"
    TOO_LARGE = "too_large"
    URI_TOO_LONG = "uri_too_long"
    UNSUPPORTED_MEDIA = "unsupported_media"
    RANGE_UNSATISFIABLE = "range_unsatisfiable"
    MISDIRECTED = "misdirected"
    INVALID = "invalid"
    LOCKED = "locked"
    FAILED_DEPENDENCY = "failed_dependency"
    PRECONDITION_REQUIRED = "precondition_required"
    RATE_LIMITED = "rate_limited"
    HEADERS_TOO_LARGE = "headers_too_large"
    INTERNAL = "internal"
    BAD_GATEWAY = "bad_gateway"
    UNAVAILABLE = "unavailable"
    GATEWAY_TIMEOUT = "gateway_timeout"
    OUT_OF_SPACE = "out_of_space"


@dataclass(frozen=True, slots=True)
class ErrorDetail:
    """One entry of the envelope's `errors`: the field as a dotted path (or None), a stable code, a sentence.

    Of something written, `position` (characters from 0) or `pointer` (RFC 6901) says where in the field it is, and
    `expected` what may stand there.
    `index` is that of the operation that it is about, where a request has several.
    """

    code: str
    message: str
    field: str | None = None
    hint: str | None = None
    allowed: Sequence[str] | None = None
    position: int | None = None
    pointer: str | None = None
    expected: Sequence[str] | None = None
    index: int | None = None


def unknown_field(name: str, known: Iterable[str], field: str) -> ErrorDetail:
    """Return what is told of a name that there is not, with the closest of those that there are."""
    names = sorted(known)
    hint = hint_at(closest(name, names))
    return ErrorDetail("UNKNOWN_FIELD", "There is no such field here.", field, hint=hint, allowed=names)


class AppError(Exception):
    """A refusal that the caller is told of.

    Subclasses set `code` (UPPER_SNAKE, stable for ever), `kind` and `message` (for people, may change), and
    `data_example` where they carry `data`, for the documents.
    `details` replaces the single entry when several fields are wrong at once. `retry_after` is in whole
    seconds. `headers` are added to the answer. `data` goes into the envelope's `data` (a version conflict's
    current resource), `meta` beside the request id. `log_detail` is written to the log and never leaves the process.
    """

    code: str = "INTERNAL_ERROR"
    kind: ErrorKind = ErrorKind.INTERNAL
    message: str = "Something went wrong on our side."
    data_example: Any = None

    def __init__(
        self,
        message: str | None = None,
        *,
        field: str | None = None,
        hint: str | None = None,
        details: Sequence[ErrorDetail] | None = None,
        retry_after: int | None = None,
        headers: Mapping[str, str] | None = None,
        data: Any = None,
        meta: Mapping[str, Any] | None = None,
        log_detail: str | None = None,
    ) -> None:
        if message is not None:
            self.message = message
        super().__init__(self.message)
        self.details = tuple(details) if details else (ErrorDetail(self.code, self.message, field, hint),)
        self.retry_after = retry_after
        self.headers = dict(headers or {})
        self.data = data
        self.meta = dict(meta or {})
        self.log_detail = log_detail


class PersistedError(AppError):
    """A refusal whose side effects must survive it: the write session commits, then the error goes on.

    The only door of its kind (a reused refresh token ends its family, a failed login is counted).
    """


class InvalidInput(AppError):
    code = "VALIDATION_FAILED"
    kind = ErrorKind.INVALID
    message = "Some of the input is not valid."


class UnknownParameter(AppError):
    code = "UNKNOWN_PARAMETER"
    kind = ErrorKind.INVALID
    message = "There is no such query parameter here."


class MalformedJson(AppError):
    code = "MALFORMED_JSON"
    kind = ErrorKind.UNPARSABLE
    message = "The body is not valid JSON."


class MalformedRequest(AppError):
    code = "MALFORMED_REQUEST"
    kind = ErrorKind.UNPARSABLE
    message = "The request could not be understood."


class InvalidCursor(AppError):
    code = "INVALID_CURSOR"
    kind = ErrorKind.UNPARSABLE
    message = "This cursor was not made by this server, or was changed on the way."


class CursorMismatch(AppError):
    code = "CURSOR_MISMATCH"
    kind = ErrorKind.UNPARSABLE
    message = "This cursor belongs to another query: keep filter and sort, or start again without it."


class Unauthenticated(AppError):
    code = "UNAUTHENTICATED"
    kind = ErrorKind.UNAUTHENTICATED
    message = "A valid access token is needed: send `Authorization: Bearer <token>`."


class Forbidden(AppError):
    code = "FORBIDDEN"
    kind = ErrorKind.FORBIDDEN
    message = "You can see this, but your role does not allow the change."


class InsufficientScope(AppError):
    """An API token that lacks a scope (RFC 6750, section 3.1); the message and the header name it."""

    code = "INSUFFICIENT_SCOPE"
    kind = ErrorKind.FORBIDDEN
    message = "This API token lacks the scope that this needs."

    @classmethod
    def of(cls, scope: str) -> "InsufficientScope":
        """Return the refusal that names `scope`."""
        challenge = f'Bearer error="insufficient_scope", scope="{scope}"'
        detail = ErrorDetail(cls.code, f"This API token lacks the scope {scope}.", None, allowed=[scope])
        return cls(detail.message, details=[detail], headers={"www-authenticate": challenge})


class TokenRestricted(AppError):
    code = "TOKEN_RESTRICTED"
    kind = ErrorKind.FORBIDDEN
    message = "This API token is restricted to a part, and this is about the whole."


class TokenReadOnly(AppError):
    code = "TOKEN_READ_ONLY"
    kind = ErrorKind.FORBIDDEN
    message = "This API token may only read."


class SessionRequired(AppError):
    code = "SESSION_REQUIRED"
    kind = ErrorKind.FORBIDDEN
    message = "An API token can't do this: log in."


class NotFound(AppError):
    code = "NOT_FOUND"
    kind = ErrorKind.NOT_FOUND
    message = "There is nothing here that you can see."


class MethodNotAllowed(AppError):
    code = "METHOD_NOT_ALLOWED"
    kind = ErrorKind.METHOD_NOT_ALLOWED
    message = "This method is not supported here; the Allow header lists those that are."


class Conflict(AppError):
    code = "CONFLICT"
    kind = ErrorKind.CONFLICT
    message = "The request conflicts with the current state."


class IfMatchRequired(AppError):
    """A change that has to say which state it was made for (RFC 6585, section 3)."""

    code = "IF_MATCH_REQUIRED"
    kind = ErrorKind.PRECONDITION_REQUIRED
    message = "Others may have changed this: send the ETag of what you have seen as If-Match."


class VersionConflict(AppError):
    code = "VERSION_CONFLICT"
    kind = ErrorKind.STALE
    message = "This was changed since the version that you sent in If-Match."
    data_example: Any = MappingProxyType({"current": {"version": 8}})


class PayloadTooLarge(AppError):
    code = "PAYLOAD_TOO_LARGE"
    kind = ErrorKind.TOO_LARGE
    message = "The body is larger than what is accepted here."


class UnsupportedMediaType(AppError):
    code = "UNSUPPORTED_MEDIA_TYPE"
    kind = ErrorKind.UNSUPPORTED_MEDIA
    message = "Send the body as application/json in UTF-8, without a content encoding."


class IdempotencyKeyInvalid(AppError):
    code = "IDEMPOTENCY_KEY_INVALID"
    kind = ErrorKind.INVALID
    message = "An Idempotency-Key is 1 to 255 printable ASCII characters."


class IdempotencyKeyReused(AppError):
    code = "IDEMPOTENCY_KEY_REUSED"
    kind = ErrorKind.INVALID
    message = "This Idempotency-Key was used for a different request."


class IdempotencyInProgress(AppError):
    code = "IDEMPOTENCY_IN_PROGRESS"
    kind = ErrorKind.CONFLICT
    message = "The first request with this Idempotency-Key is still running."


class RateLimited(AppError):
    code = "RATE_LIMITED"
    kind = ErrorKind.RATE_LIMITED
    message = "Too many requests in the last minute: wait as long as Retry-After says."


class ServiceUnavailable(AppError):
    code = "SERVICE_UNAVAILABLE"
    kind = ErrorKind.UNAVAILABLE
    message = "This part of the system can't answer at the moment: try again shortly."


class LockWaitedTooLong(ServiceUnavailable):
    code = "RESOURCE_BUSY"
    message = "This is being changed by many at once: try again."


class Overtaken(ServiceUnavailable):
    """Another transaction was faster, in a way that only a new one sees: the request is handled again where it can."""


class InternalError(AppError):
    """An unexpected failure; its cause is in the log under the request id and nowhere else."""


def error_classes(root: type[AppError] = AppError) -> list[type[AppError]]:
    """Return every error class that is loaded, each code once, sorted by code: the process's part of the catalogue."""
    found: dict[str, type[AppError]] = {}
    pending = [root]
    while pending:
        current = pending.pop()
        pending.extend(current.__subclasses__())
        if "code" in vars(current):
            found.setdefault(current.code, current)
    return [found[code] for code in sorted(found)]
