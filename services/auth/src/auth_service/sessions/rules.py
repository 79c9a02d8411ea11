"""Refresh tokens (R4, R5) and the delays of failed logins (R10), without any I/O."""

import hashlib
import ipaddress
import secrets
import zlib
from dataclasses import dataclass
from datetime import timedelta

from chassis.sealing import KeyRing
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PREFIX = "tlm_rt_"
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
BODY_LENGTH = 43  # base62 digits of 32 bytes
CHECKSUM_LENGTH = 6
TOKEN_LENGTH = len(PREFIX) + BODY_LENGTH + CHECKSUM_LENGTH

RETRY_WINDOW = timedelta(seconds=10)
SEAL_PLACE = "refresh_token|successor"

FREE_FAILURES = 5
MAX_DELAY = timedelta(seconds=300)


def new_refresh_token() -> str:
    """Return `tlm_rt_` + base62 of 32 random bytes + base62 of its CRC-32."""
    body = _base62(int.from_bytes(secrets.token_bytes(32), "big"), BODY_LENGTH)
    return f"{PREFIX}{body}{_checksum(body)}"


def is_refresh_token(text: str) -> bool:
    """Tell by form and checksum whether the text can be one of our tokens, before any look-up."""
    if len(text) != TOKEN_LENGTH or not text.startswith(PREFIX) or not text.isascii():
        return False
    body = text[len(PREFIX) : -CHECKSUM_LENGTH]
    return secrets.compare_digest(_checksum(body), text[-CHECKSUM_LENGTH:])


def token_hash(token: str) -> bytes:
    """Return what is stored of a token: its SHA-256."""
    return hashlib.sha256(token.encode()).digest()


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


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), CHECKSUM_LENGTH)


def _base62(number: int, length: int) -> str:
    digits = ""
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits = ALPHABET[digit] + digits
    return digits
