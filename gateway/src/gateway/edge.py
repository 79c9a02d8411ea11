"""What a request must look like before anything else looks at it (R16, R18-R20, R22)."""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chassis.errors import MalformedRequest
from starlette.types import Scope

from gateway.errors import HeaderFieldsTooLarge, MalformedPath, MisdirectedHost, TargetTooLong
from gateway.settings import EdgeSettings

MAX_TARGET = 8 * 1024
MAX_FIELD = 8 * 1024
MAX_HEAD = 32 * 1024
MAX_FIELDS = 100
MAX_USER_AGENT = 256
HEADER_NAME = re.compile(rb"[A-Za-z0-9-]+")
FORBIDDEN_IN_PATH = re.compile(rb"%2f|%5c|%00|%2e|//|;|\\|[^\x21-\x7e]", re.IGNORECASE)
DOT_SEGMENT = re.compile(rb"(^|/)\.{1,2}(/|$)")

FORWARDED = frozenset(
    {
        b"accept",
        b"accept-language",
        b"content-type",
        b"content-length",
        b"content-encoding",
        b"if-match",
        b"if-none-match",
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


@dataclass(frozen=True, slots=True)
class Head:
    """The parts of a request's head that the gateway itself reads."""

    host: str
    authorization: str | None
    request_id: str | None
    traceparent: str | None
    origin: str | None
    forwarded: list[tuple[str, str]]
    client: str


class Edge:
    """Checks heads of requests; everything that it needs to know is fixed at start."""

    def __init__(self, settings: EdgeSettings) -> None:
        self._hosts = frozenset(host.lower() for host in settings.allowed_hosts)
        self._proxies = [ipaddress.ip_network(network) for network in settings.trusted_proxies]

    def read(self, scope: Scope) -> Head:
        """Check path and header fields and sort them. Raises the refusals of this module."""
        check_target(scope)
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        check_fields(headers)
        dropped = _nominated(headers)
        picked: dict[bytes, str] = {}
        forwarded: list[tuple[str, str]] = []
        hosts = 0
        for name, value in headers:
            text = value.decode("latin-1")
            hosts += name == b"host"
            picked[name] = text
            if name in FORWARDED and name not in dropped:
                forwarded.append((name.decode(), text[:MAX_USER_AGENT] if name == b"user-agent" else text))
        if hosts != 1:
            raise MalformedRequest("Exactly one Host field is needed.")
        self._check_host(picked[b"host"])
        return Head(
            host=picked[b"host"],
            authorization=picked.get(b"authorization"),
            request_id=picked.get(b"x-request-id"),
            traceparent=picked.get(b"traceparent"),
            origin=picked.get(b"origin"),
            forwarded=forwarded,
            client=self._client(scope, picked.get(b"x-forwarded-for")),
        )

    def _check_host(self, host: str) -> None:
        name = re.sub(r":\d{1,5}$", "", host).lower()
        if name not in self._hosts:
            raise MisdirectedHost

    def _client(self, scope: Scope, forwarded_for: str | None) -> str:
        """Return the address of the client, walking from the right over proxies that we trust."""
        address = scope["client"][0] if scope.get("client") else "0.0.0.0"  # noqa: S104 - no address, not a bind
        hops = [hop.strip() for hop in forwarded_for.split(",")] if forwarded_for else []
        while hops and self._is_proxy(address):
            address = hops.pop()
        return address

    def _is_proxy(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self._proxies)


def check_target(scope: Scope) -> None:
    """Refuse targets that could mean one thing here and another behind (R19)."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    if len(raw) + len(scope["query_string"]) > MAX_TARGET:
        raise TargetTooLong
    if not raw.startswith(b"/") or FORBIDDEN_IN_PATH.search(raw) or DOT_SEGMENT.search(raw):
        raise MalformedPath


def check_fields(headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Refuse heads that are too large, and names that are none."""
    size = 0
    for name, value in headers:
        size += len(name) + len(value) + 4
        if len(value) > MAX_FIELD:
            raise HeaderFieldsTooLarge
        if not HEADER_NAME.fullmatch(name):
            raise MalformedRequest("Names of header fields are letters, digits and hyphens.")
    if size > MAX_HEAD or len(headers) > MAX_FIELDS:
        raise HeaderFieldsTooLarge


def limit_key(address: str) -> str:
    """Return what a client counts as for limits: an IPv4 address, or the /64 of an IPv6 one."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False))


def _nominated(headers: Iterable[tuple[bytes, bytes]]) -> frozenset[bytes]:
    """Return the fields that Connection names; they concern this hop only (RFC 9110, section 7.6.1)."""
    return frozenset(
        option.strip().lower() for name, value in headers if name == b"connection" for option in value.split(b",")
    )
