"""What API tokens can be, what they are stored by, and where they may be used from, without any I/O."""

import hashlib
import hmac
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from chassis.errors import ErrorDetail
from chassis.sealing import KeyRing

from auth_service.api_tokens.errors import InvalidExpiry, InvalidScope
from auth_service.credentials.rules import parsed_address

PURPOSE = "taskloom api token pepper"
ADMINISTRATION = "admin:*"
SCOPES = (
    "tasks:read",
    "tasks:write",
    "tasks:delete",
    "comments:write",
    "notifications:read",
    "notifications:write",
    "webhooks:manage",
    ADMINISTRATION,
)
DEFAULT_LIFE = timedelta(days=90)
MOST_TOKENS = 50
"""So many tokens of one account may be in force."""
NOTED_EVERY = timedelta(minutes=1)
"""Uses are noted at most so often (R14)."""


@dataclass(frozen=True, slots=True)
class Peppers:
    """Keys of the stored digests by kid, newest first; each comes from a key of the ring, for this purpose alone."""

    keys: Mapping[str, bytes]

    @classmethod
    def of(cls, ring: KeyRing) -> "Peppers":
        """Return the peppers of a ring."""
        return cls(ring.derived(PURPOSE))

    @property
    def newest(self) -> str:
        """The id of the key that new digests are made with."""
        return next(iter(self.keys))

    def digests(self, sha256: bytes) -> dict[str, bytes]:
        """Return what a token with this SHA-256 is stored by, under each key."""
        return {kid: hmac.new(pepper, sha256, hashlib.sha256).digest() for kid, pepper in self.keys.items()}


def faults_of_scopes(scopes: Sequence[str]) -> list[ErrorDetail]:
    """Return an entry for each scope that is unknown or has been given before."""
    bad = (index for index, scope in enumerate(scopes) if scope not in SCOPES or scope in scopes[:index])
    return [ErrorDetail(InvalidScope.code, InvalidScope.message, f"scopes.{index}", allowed=SCOPES) for index in bad]


def faults_of_expiry(expires_at: datetime, *, now: datetime, longest: timedelta) -> list[ErrorDetail]:
    """Return what is wrong with the end of a new token."""
    if now < expires_at <= now + longest:
        return []
    return [ErrorDetail(InvalidExpiry.code, InvalidExpiry.message, "expires_at", hint=f"at most {longest.days} days")]


def is_allowed_at(networks: Sequence[str] | None, address: str | None) -> bool:
    """Tell whether a canonical address is in one of the networks; all are without networks, and none is nobody's."""
    if networks is None or address is None:
        return networks is None
    found = ipaddress.ip_address(address)
    return any(found in ipaddress.ip_network(network) for network in networks)


def canonical_address(text: str | None) -> str | None:
    """Return an address in its one spelling, IPv4 in IPv6 as IPv4; None for what is none."""
    found = parsed_address(text)
    return None if found is None else str(found)
