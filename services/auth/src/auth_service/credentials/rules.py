"""Where failed logins are counted, and what follows (R10), without any I/O."""

import hashlib
import ipaddress
from dataclasses import dataclass
from datetime import timedelta

FREE_FAILURES = 5
MAX_DELAY = timedelta(seconds=300)
ADDRESS_FAILURES = 30
"""So many failures from one address within the window are refused no more, but put off."""
ADDRESS_WINDOW = timedelta(minutes=5)
ACCOUNT_FAILURES = 100
"""After so many failures in a row an account can be entered from known networks only."""
KNOWN_FOR = timedelta(days=90)
NOWHERE = "unknown"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where failed logins are counted: an account, known or not, by its address's digest; a network; an address."""

    account_digest: bytes
    network: str
    # None where no client stands behind the request: the gateway always names one.
    address: str | None


def account_digest(canonical_email: str) -> bytes:
    """Return what stands for an account in the counts, so that they tell no address that somebody mistyped."""
    return hashlib.sha256(canonical_email.encode()).digest()


def delay_after(failures: int) -> timedelta:
    """Return how long an account is blocked for a network after so many failures: none, then 1, 2, 4 ... 300 s."""
    if failures <= FREE_FAILURES:
        return timedelta(0)
    return min(timedelta(seconds=2 ** min(failures - FREE_FAILURES - 1, 9)), MAX_DELAY)


def network_of(address: str | None) -> str:
    """Return the /24 or /64 that an address belongs to."""
    found = parsed_address(address)
    if found is None:
        return NOWHERE
    prefix = 24 if isinstance(found, ipaddress.IPv4Address) else 64
    return str(ipaddress.ip_network((found, prefix), strict=False))


def counted_address(address: str | None) -> str | None:
    """Return what counts as one address (R22): itself, or the /64 that one household has of IPv6."""
    found = parsed_address(address)
    return str(found) if isinstance(found, ipaddress.IPv4Address) else network_of(address) if found else None


def parsed_address(address: str | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return an address, IPv4 in IPv6 as IPv4; None for what is none."""
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found
