"""What a refresh token leaves for its successor (R5) and the delays of failed logins (R10), without any I/O."""

import ipaddress
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from chassis.sealing import KeyRing
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

Method = Literal["password", "totp", "recovery_code", "passkey", "oidc"]

RETRY_WINDOW = timedelta(seconds=10)
SEAL_PLACE = "refresh_token|successor"

FREE_FAILURES = 5
MAX_DELAY = timedelta(seconds=300)


def seal_successor(successor: str, *, under: str) -> str:
    """Encrypt a token so that only the holder of the token before it can read it."""
    return _ring_of(under).seal(successor.encode(), place=SEAL_PLACE)


def open_successor(sealed: str, *, under: str) -> str:
    """Decrypt what `seal_successor` made."""
    return _ring_of(under).open(sealed, place=SEAL_PLACE).decode()


@dataclass(frozen=True, slots=True)
class Origin:
    """Where failed logins are counted: an account, known or not, by a digest of its address; and a network."""

    account_digest: bytes
    network: str


def delay_after(failures: int) -> timedelta:
    """Return how long an account is blocked for a network after so many failures: none, then 1, 2, 4 ... 300 s."""
    if failures <= FREE_FAILURES:
        return timedelta(0)
    return min(timedelta(seconds=2 ** min(failures - FREE_FAILURES - 1, 9)), MAX_DELAY)


def network_of(address: str | None) -> str:
    """Return the /24 or /64 that an address belongs to."""
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return "unknown"
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    prefix = 24 if isinstance(found, ipaddress.IPv4Address) else 64
    return str(ipaddress.ip_network((found, prefix), strict=False))


def _ring_of(token: str) -> KeyRing:
    key = HKDF(hashes.SHA256(), length=32, salt=None, info=b"taskloom refresh successor").derive(token.encode())
    return KeyRing({"token": key})
