"""The one table from a kind of refusal to an HTTP status (RFC 9110, 6585 and 4918)."""

from chassis.errors import ErrorKind

STATUS_OF_KIND: dict[ErrorKind, int] = {
    ErrorKind.UNPARSABLE: 400,
    ErrorKind.UNAUTHENTICATED: 401,
    ErrorKind.FORBIDDEN: 403,
    ErrorKind.NOT_FOUND: 404,
    ErrorKind.METHOD_NOT_ALLOWED: 405,
    ErrorKind.NOT_ACCEPTABLE: 406,
    ErrorKind.TIMEOUT: 408,
    ErrorKind.CONFLICT: 409,
    ErrorKind.GONE: 410,
    ErrorKind.STALE: 412,
    ErrorKind.TOO_LARGE: 413,
    ErrorKind.URI_TOO_LONG: 414,
    ErrorKind.UNSUPPORTED_MEDIA: 415,
    ErrorKind.RANGE_UNSATISFIABLE: 416,
    ErrorKind.MISDIRECTED: 421,
    ErrorKind.INVALID: 422,
    ErrorKind.LOCKED: 423,
    ErrorKind.FAILED_DEPENDENCY: 424,
    ErrorKind.PRECONDITION_REQUIRED: 428,
    ErrorKind.RATE_LIMITED: 429,
    ErrorKind.HEADERS_TOO_LARGE: 431,
    ErrorKind.INTERNAL: 500,
    ErrorKind.BAD_GATEWAY: 502,
    ErrorKind.UNAVAILABLE: 503,
    ErrorKind.GATEWAY_TIMEOUT: 504,
    ErrorKind.OUT_OF_SPACE: 507,
}
