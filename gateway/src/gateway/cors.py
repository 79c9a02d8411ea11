"""Pages of other origins (Fetch standard): only those that are listed, exactly (R34)."""

from chassis.errors import Forbidden
from starlette.types import Send

from gateway.exchange import Fields

REQUEST_FIELDS = (
    b"Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, If-Range, Last-Event-ID, Prefer, "
    b"Range, Traceparent, Upload-Checksum, Upload-Complete, Upload-Length, Upload-Offset, X-Min-Cursor, "
    b"X-Request-Id, X-Timezone"
)
EXPOSED_FIELDS = (
    b"Allow, Content-Disposition, Content-Range, ETag, Location, Link, X-Cursor, X-Request-Id, Idempotency-Replayed, "
    b"RateLimit, RateLimit-Policy, Retry-After, Upload-Offset, WWW-Authenticate, "
    b"X-RateLimit-Cost, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset"
)
METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
MAX_AGE_SECONDS = b"600"


class OriginNotAllowed(Forbidden):
    code = "ORIGIN_NOT_ALLOWED"
    message = "Pages of this origin may not use the API."


class Cors:
    """Decides by the list of origins."""

    def __init__(self, origins: tuple[str, ...]) -> None:
        self._origins = frozenset(origins)

    def allows(self, origin: str) -> bool:
        """Tell whether pages of the origin may call."""
        return origin in self._origins

    def fields(self, origin: str | None) -> Fields:
        """Return the fields of an answer to a page of `origin`: what caches must know, and more where it is listed."""
        if not self._origins:
            return []
        if origin not in self._origins:
            return [(b"vary", b"Origin")]
        return [
            (b"vary", b"Origin"),
            (b"access-control-allow-origin", str(origin).encode("latin-1")),
            (b"access-control-expose-headers", EXPOSED_FIELDS),
        ]

    async def answer_preflight(self, origin: str, send: Send) -> None:
        """Answer a preflight. Raises OriginNotAllowed."""
        if origin not in self._origins:
            raise OriginNotAllowed
        fields: Fields = [
            (b"access-control-allow-methods", METHODS),
            (b"access-control-allow-headers", REQUEST_FIELDS),
            (b"access-control-max-age", MAX_AGE_SECONDS),
        ]
        await send({"type": "http.response.start", "status": 204, "headers": fields})
        await send({"type": "http.response.body", "body": b""})
