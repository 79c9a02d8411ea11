"""What a request must look like before anything else looks at it (R16, R18-R20, R22)."""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from chassis.errors import AppError, MalformedRequest
from chassis.timezones import UnknownTimezone
from starlette.types import Scope

from gateway.errors import HeaderFieldsTooLarge, InvalidToken, MalformedPath, MisdirectedHost, TargetTooLong
from gateway.settings import EdgeSettings

MAX_TARGET = 8 * 1024
MAX_FIELD = 8 * 1024
MAX_HEAD = 32 * 1024
MAX_FIELDS = 100
MAX_USER_AGENT = 256
HEADER_NAME = re.compile(rb"[A-Za-z0-9-]+")
TIMEZONE = re.compile(rb"[A-Za-z0-9_+/-]{1,64}")
PLAIN_PATH = re.compile(rb"(?:/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)+")
"""Paths that need no closer look, as most are: segments of unreserved characters that do not begin with a dot."""
FORBIDDEN_IN_PATH = re.compile(rb"%2f|%5c|%2e|%[01][0-9a-f]|%7f|%(?![0-9a-f]{2})|//|;|\\|[^\x21-\x7e]", re.IGNORECASE)
FORBIDDEN_IN_QUERY = re.compile(rb"[^\x21-\x7e]")
PORT = re.compile(r":\d{1,5}$")
FORBIDDEN_METHODS = frozenset({"CONNECT", "TRACE"})
SOCKET_PATH = "/api/v1/ws"
DOT_SEGMENT = re.compile(rb"(^|/)\.{1,2}(/|$)")

ONCE = frozenset(
    {
        b"authorization",
        b"content-length",
        b"content-type",
        b"host",
        b"idempotency-key",
        b"if-range",
        b"last-event-id",
        b"origin",
        b"range",
        b"transfer-encoding",
        b"upgrade",
        b"x-timezone",
    }
)
"""Fields of which a second one could be taken for the first by somebody behind us."""

FORWARDED = frozenset(
    {
        b"accept",
        b"accept-language",
        b"content-type",
        b"content-length",
        b"content-encoding",
        b"if-match",
        b"if-none-match",
        b"last-event-id",
        b"range",
        b"if-range",
        b"idempotency-key",
        b"prefer",
        b"user-agent",
        b"x-min-cursor",
        b"x-timezone",
        b"upload-offset",
        b"upload-length",
        b"upload-complete",
        b"upload-checksum",
    }
)


COMMON = ONCE | FORWARDED | frozenset({b"accept-encoding", b"connection", b"traceparent", b"x-request-id"})
"""Names that are some, and need no closer look."""


@dataclass(frozen=True, slots=True)
class Head:
    """The parts of a request's head that the gateway itself reads."""

    host: str
    authorization: str | None
    origin: str | None
    forwarded: list[tuple[str, str]]
    client: str


class Edge:
    """Checks heads of requests; everything that it needs to know is fixed at start."""

    def __init__(self, settings: EdgeSettings) -> None:
        self._hosts = frozenset(host.lower() for host in settings.allowed_hosts)
        self._proxies = [ipaddress.ip_network(network) for network in settings.trusted_proxies]

    def read(self, scope: Scope) -> Head:
        """Check method, path and header fields and sort them. Raises the refusals of this module."""
        check_target(scope)
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        check_fields(headers)
        picked: dict[bytes, str] = {}
        forwarded: list[tuple[str, str]] = []
        for name, value in headers:
            text = value.decode("latin-1")
            if name in ONCE and name in picked:
                raise _repeated(name)
            picked[name] = text
            if name == b"x-timezone" and not TIMEZONE.fullmatch(value):
                raise UnknownTimezone(field="X-Timezone")
            if name in FORWARDED:
                forwarded.append((name.decode(), text[:MAX_USER_AGENT] if name == b"user-agent" else text))
        check_framing(scope, picked)
        self._check_host(picked[b"host"])
        if b"connection" in picked:
            dropped = _nominated(headers)
            forwarded = [field for field in forwarded if field[0] not in dropped]
        return Head(
            host=picked[b"host"],
            authorization=picked.get(b"authorization"),
            origin=picked.get(b"origin"),
            forwarded=forwarded,
            client=self.client(scope),
        )

    def client(self, scope: Scope) -> str:
        """Return the address of the client: the peer, or what the proxies say that we trust (R22)."""
        address = plain_address(scope["client"][0] if scope.get("client") else "0.0.0.0")  # noqa: S104 - no address, not a bind
        if not self._proxies or not self.is_proxy(address):
            return address
        given = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
        hops = [hop.strip() for hop in ",".join(given).split(",")]
        while hops and self.is_proxy(address):
            hop = plain_address(hops.pop())
            if not _is_address(hop):
                break
            address = hop
        return address

    def connection_key(self, address: str) -> str | None:
        """Return what a peer counts as for the limit of connections; None for a proxy that we trust."""
        plain = plain_address(address)
        return None if self.is_proxy(plain) else limit_key(plain)

    def is_proxy(self, address: str) -> bool:
        """Tell whether the address is of a proxy that we trust."""
        return _is_address(address) and any(ipaddress.ip_address(address) in network for network in self._proxies)

    def _check_host(self, host: str) -> None:
        if host not in self._hosts and PORT.sub("", host).lower() not in self._hosts:
            raise MisdirectedHost


def check_target(scope: Scope) -> None:
    """Refuse targets that could mean one thing here and another behind (R19)."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    if len(raw) + len(scope["query_string"]) > MAX_TARGET:
        raise TargetTooLong
    if not PLAIN_PATH.fullmatch(raw):
        check_path(raw)
    if FORBIDDEN_IN_QUERY.search(scope["query_string"]):
        raise MalformedRequest("The query has characters that must be percent-encoded.")


def check_path(raw: bytes) -> None:
    """Refuse paths that could mean one thing here and another behind."""
    if not raw.startswith(b"/") or FORBIDDEN_IN_PATH.search(raw) or DOT_SEGMENT.search(raw):
        raise MalformedPath
    if b"%" in raw and not _is_utf8(unquote_to_bytes(raw)):
        raise MalformedPath


def check_fields(headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Refuse heads that are too large, and names that are none."""
    size = 0
    for name, value in headers:
        size += len(name) + len(value) + 4
        if len(value) > MAX_FIELD:
            raise HeaderFieldsTooLarge
        if name not in COMMON and not HEADER_NAME.fullmatch(name):
            raise malformed("Names of header fields are letters, digits and hyphens.")
    if size > MAX_HEAD or len(headers) > MAX_FIELDS:
        raise HeaderFieldsTooLarge


def check_framing(scope: Scope, fields: dict[bytes, str]) -> None:
    """Refuse what the parser lets through although two readers could understand it differently (R17)."""
    if b"host" not in fields:
        raise malformed("Exactly one Host field is needed.")
    if scope.get("method") in FORBIDDEN_METHODS:
        raise malformed("This method is not served.")
    if b"upgrade" in fields and not (scope["type"] == "websocket" and scope["path"] == SOCKET_PATH):
        raise malformed("Nothing but a WebSocket on /api/v1/ws can be upgraded to.")
    if b"transfer-encoding" in fields and (
        fields[b"transfer-encoding"] != "chunked" or scope.get("http_version") == "1.0"
    ):
        raise malformed("Transfer-Encoding is `chunked`, in HTTP/1.1, or absent.")


def malformed(message: str) -> MalformedRequest:
    """Return a refusal after which the connection ends, since where the next request begins is not certain."""
    return MalformedRequest(message, headers={"connection": "close"})


def plain_address(address: str) -> str:
    """Return an IPv4 address that is written as an IPv6 one as what it is."""
    if not address.startswith("::ffff:"):
        return address
    mapped = address.removeprefix("::ffff:")
    return mapped if _is_address(mapped) else address


def limit_key(address: str) -> str:
    """Return what a client counts as for limits: an IPv4 address, or the /64 of an IPv6 one."""
    if ":" not in address:
        return address
    return str(ipaddress.ip_network((address.partition("%")[0], 64), strict=False))


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _repeated(name: bytes) -> AppError:
    if name == b"authorization":
        return InvalidToken(log_detail="several Authorization fields")
    return malformed(f"The field {name.decode()} may be given only once.")


def _nominated(headers: Iterable[tuple[bytes, bytes]]) -> frozenset[str]:
    """Return the fields that Connection names; they concern this hop only (RFC 9110, section 7.6.1)."""
    named = b",".join(value for name, value in headers if name == b"connection").decode("latin-1")
    return frozenset(option.strip().lower() for option in named.split(","))
