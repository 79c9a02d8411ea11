"""Refusals of the gateway itself."""

from types import MappingProxyType

from chassis.errors import (
    AppError,
    ErrorKind,
    MalformedRequest,
    ServiceUnavailable,
    Unauthenticated,
)

from gateway.cost import MOST_THINGS


class InvalidToken(Unauthenticated):
    code = "INVALID_TOKEN"
    message = "This access token is not valid, or not any more: log in again or refresh it."


class AddressNotAllowed(AppError):
    code = "ADDRESS_NOT_ALLOWED"
    kind = ErrorKind.FORBIDDEN
    message = "This API token may not be used from this address."


class AuthStateUnavailable(ServiceUnavailable):
    code = "AUTH_STATE_UNAVAILABLE"
    message = "Whether tokens are still valid can't be told at the moment: try again shortly."


class RouteNotFound(AppError):
    code = "ROUTE_NOT_FOUND"
    kind = ErrorKind.NOT_FOUND
    message = "There is no such path; see /docs for all of them."


class MalformedPath(MalformedRequest):
    code = "MALFORMED_PATH"
    message = "The path has characters or segments that are not accepted."


class MisdirectedHost(AppError):
    code = "MISDIRECTED_HOST"
    kind = ErrorKind.MISDIRECTED
    message = "This host name is not served here."


class HeaderFieldsTooLarge(AppError):
    code = "HEADERS_TOO_LARGE"
    kind = ErrorKind.HEADERS_TOO_LARGE
    message = "The request's header fields are too large or too many."


class TargetTooLong(AppError):
    code = "TARGET_TOO_LONG"
    kind = ErrorKind.URI_TOO_LONG
    message = "The request's path and query are longer than 8 KiB."


class HeadTimeout(AppError):
    code = "HEAD_TIMEOUT"
    kind = ErrorKind.TIMEOUT
    message = "The request's head did not come within 10 seconds."


class TooManyConnections(AppError):
    code = "TOO_MANY_CONNECTIONS"
    kind = ErrorKind.RATE_LIMITED
    message = "Too many open connections: close some, or use them again."


class BodyTimeout(AppError):
    code = "BODY_TIMEOUT"
    kind = ErrorKind.TIMEOUT
    message = "The body came too slowly."


class UpstreamUnavailable(ServiceUnavailable):
    code = "UPSTREAM_UNAVAILABLE"
    message = "The service behind this path can't be reached at the moment: try again shortly."


class UpstreamFailed(AppError):
    code = "UPSTREAM_FAILED"
    kind = ErrorKind.BAD_GATEWAY
    message = "The service behind this path broke off its answer."


class UpstreamTimeout(AppError):
    code = "UPSTREAM_TIMEOUT"
    kind = ErrorKind.GATEWAY_TIMEOUT
    message = "The service behind this path did not answer in time."


class CostAboveLimit(AppError):
    """What is more than any request may ask for, and is refused before it costs anything like it."""

    code = "COST_ABOVE_LIMIT"
    kind = ErrorKind.INVALID
    message = f"One request may have at most {MOST_THINGS:,} operations: split it into several requests."
    data_example = MappingProxyType({"cost": 441, "limit": 401})


class TicketsUnavailable(ServiceUnavailable):
    code = "TICKETS_UNAVAILABLE"
    message = "No ticket can be made at the moment: connect with the Authorization header, or try again."


class TooManySockets(AppError):
    code = "TOO_MANY_SOCKETS"
    kind = ErrorKind.RATE_LIMITED
    message = "Too many open WebSockets and event streams: close one first."
