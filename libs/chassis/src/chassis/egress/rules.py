"""Where requests to others may go, as far as a URL and the addresses of its host say so."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from chassis.egress.addresses import NEVER, Address, Network, is_public, is_within
from chassis.errors import AppError, ErrorKind

MAX_URL = 2000
PORTS: Mapping[str, int] = {"https": 443, "http": 80}
PARTS = re.compile(r"(?P<scheme>[a-z]+)://(?P<authority>[^/?#]+)(?P<path>/[^?#]*)?(?P<query>\?[^#]*)?", re.IGNORECASE)
PLACE = re.compile(r"(?P<host>\[[0-9a-f:.]+\]|[0-9a-z.-]+)(?::(?P<port>[1-9][0-9]{0,4}))?", re.IGNORECASE)
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""A last label that makes a name an IPv4 address in somebody's eyes (WHATWG URL, section 3.5)."""
MAX_NAME = 253
MAX_PORT = 65535
INNER_NAMES = frozenset(
    {
        "corp",
        "home",
        "internal",
        "intranet",
        "invalid",
        "lan",
        "local",
        "localdomain",
        "localhost",
        "onion",
        "private",
        "test",
        "home.arpa",
        "in-addr.arpa",
        "ip6.arpa",
    }
)
"""What a name ends in that means something, or should, within one machine or network only (RFC 6761, 6762, 9476)."""
NOT_PUBLIC = "The host is not on the public internet, nor are all its addresses in EGRESS_ALLOWED_NETWORKS."


class UrlNotAllowed(AppError):
    code = "URL_NOT_ALLOWED"
    kind = ErrorKind.INVALID
    message = "Requests can't be sent to this URL."


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes. `address` is the host, where that is written as one; `path` has the query."""

    scheme: str
    host: str
    port: int
    path: str
    address: Address | None

    @property
    def host_header(self) -> str:
        """What `Host` says (RFC 9110, section 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class EgressRules:
    """What is allowed beyond https to port 443 of the public internet."""

    networks: tuple[Network, ...] = ()
    ports: tuple[range, ...] = (range(443, 444),)
    http: bool = False

    def target(self, url: str) -> Target:
        """Read a URL. Raises UrlNotAllowed for everything that is not plainly one place that requests may go to."""
        parts = PARTS.fullmatch(_plain(url))
        if parts is None:
            raise UrlNotAllowed("Write the URL as https://host/path, without a fragment.")
        scheme = parts["scheme"].lower()
        if scheme not in (PORTS if self.http else {"https"}):
            raise UrlNotAllowed("Only https:// is allowed here, unless EGRESS_ALLOW_HTTP is set.")
        place = PLACE.fullmatch(parts["authority"])
        if place is None:
            raise UrlNotAllowed("Write the host in its ASCII form, without a user and a password.")
        port = int(place["port"] or PORTS[scheme])
        if port > MAX_PORT or not any(port in allowed for allowed in self.ports):
            raise UrlNotAllowed("This port is none of those that are allowed here (EGRESS_ALLOWED_PORTS).")
        host = place["host"].lower()
        address = _literal(host)
        if address is None:
            self._check_name(host)
        else:
            self.check([address])
        path = (parts["path"] or "/") + (parts["query"] or "")
        return Target(scheme, host.strip("[]"), port, path, address)

    def check(self, addresses: Iterable[Address]) -> None:
        """Refuse what has an address, among any others, that requests may not go to. Raises UrlNotAllowed."""
        if not all(map(self._allows, addresses)):
            raise UrlNotAllowed(NOT_PUBLIC)

    def _allows(self, address: Address) -> bool:
        return is_public(address) or (is_within(address, self.networks) and not is_within(address, NEVER))

    def _check_name(self, host: str) -> None:
        labels = host.split(".")
        if len(host) > MAX_NAME or not all(map(LABEL.fullmatch, labels)) or NUMBER.fullmatch(labels[-1]):
            raise UrlNotAllowed("The host is no name that everybody reads in the same way.")
        endings = {labels[-1], ".".join(labels[-2:])}
        if not self.networks and (len(labels) == 1 or endings & INNER_NAMES):
            raise UrlNotAllowed(NOT_PUBLIC)


def _plain(url: str) -> str:
    r"""Return a URL that has nothing in it that one program reads so and another otherwise (spaces, controls, \)."""
    if len(url) > MAX_URL:
        raise UrlNotAllowed(f"A URL has at most {MAX_URL} characters.")
    if not url.isascii() or not url.isprintable() or set(url) & set(' \\"<>^`{|}'):
        raise UrlNotAllowed("Write the URL in ASCII: a host in its xn-- form, everything else percent-encoded.")
    return url


def _literal(host: str) -> Address | None:
    """Return the address that a host is written as, in the one way that everybody reads alike; None for a name."""
    try:
        return IPv6Address(host[1:-1]) if host.startswith("[") else IPv4Address(host)
    except AddressValueError:
        if host.startswith("["):
            raise UrlNotAllowed("The host is no address.") from None
        return None
