"""What a refresh token leaves for its successor (R5), without any I/O."""

from datetime import timedelta
from typing import Literal

from chassis.sealing import KeyRing
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

Method = Literal["password", "totp", "recovery_code", "passkey", "oidc"]

MOST_SESSIONS = 100
"""Of an account at once: they are ended in one transaction, which must not take long."""
RETRY_WINDOW = timedelta(seconds=10)
SEAL_PLACE = "refresh_token|successor"


def seal_successor(successor: str, *, under: str) -> str:
    """Encrypt a token so that only the holder of the token before it can read it."""
    return _ring_of(under).seal(successor.encode(), place=SEAL_PLACE)


def open_successor(sealed: str, *, under: str) -> str:
    """Decrypt what `seal_successor` made."""
    return _ring_of(under).open(sealed, place=SEAL_PLACE).decode()


def _ring_of(token: str) -> KeyRing:
    key = HKDF(hashes.SHA256(), length=32, salt=None, info=b"taskloom refresh successor").derive(token.encode())
    return KeyRing({"token": key})
