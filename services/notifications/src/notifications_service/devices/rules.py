"""Which devices there are, and how they are known."""

import hashlib
from typing import Literal, get_args

DeviceKind = Literal["webpush", "fcm", "apns"]
KINDS: tuple[DeviceKind, ...] = get_args(DeviceKind)
MAX_DEVICES = 20
"""Of one user."""


def address_hash(kind: str, address: str) -> bytes:
    """Return by what an address is known: it is one device, whoever registers it."""
    return hashlib.sha256(f"{kind}\0{address}".encode()).digest()


def address_place(digest: bytes) -> str:
    """Return where an address belongs; it is sealed for this place and opens for no other device."""
    return f"device|address|{digest.hex()}"
