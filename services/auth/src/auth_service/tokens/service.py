"""Signing keys (R3) and access tokens (R1)."""

import base64
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import jwt
import structlog
from chassis.clock import utcnow
from chassis.ids import uuid7
from chassis.sealing import KeyRing
from chassis.tokens import ACCESS_TYPE, ALGORITHM, TOKEN_VERSION
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from auth_service.audit import service as audit
from auth_service.audit.rules import AuditAction
from auth_service.tokens import repository

log = structlog.get_logger()

REFRESH_SECONDS = 10.0
PUBLISHED_AFTER_RETIREMENT = timedelta(hours=1)


async def ensure_keys(session: AsyncSession, ring: KeyRing) -> None:
    """Make a current and a next key unless they are there; several processes may start at once."""
    await repository.lock(session)
    states = {row["state"] for row in await repository.published(session)}
    for state in (repository.CURRENT, repository.NEXT):
        if state not in states:
            await repository.add(session, _new_key(state, ring))


async def rotate_keys(session: AsyncSession, ring: KeyRing, *, access_ttl: timedelta) -> None:
    """Sign with the next key from now on, and publish a new next one.

    The old key stays published until its last token has expired, so that no request fails.
    """
    await ensure_keys(session, ring)
    until = utcnow() + access_ttl + PUBLISHED_AFTER_RETIREMENT
    await repository.retire_current(session, published_until=until)
    await repository.promote_next(session)
    await repository.add(session, _new_key(repository.NEXT, ring))
    await audit.record(session, AuditAction.KEYS_ROTATED, subject_id=None)


async def rotate_keys_when_due(
    session: AsyncSession, ring: KeyRing, *, access_ttl: timedelta, every: timedelta
) -> None:
    """Rotate when the current key has signed for longer than `every`, and delete keys that nobody needs; 0 never.

    Of several callers at once one rotates: the others find a key that has just begun.
    """
    await repository.lock(session)
    began = await repository.next_made_at(session)
    if every and began is not None and utcnow() - began >= every:
        await rotate_keys(session, ring, access_ttl=access_ttl)
        log.info("signing_keys.rotated")
    await repository.delete_withdrawn(session)


def jwks(rows: Sequence[RowMapping]) -> dict[str, Any]:
    """Return the published keys as a JWK set (RFC 7517, RFC 8037)."""
    keys = [
        {
            "kty": "OKP",
            "crv": "Ed25519",
            "use": "sig",
            "alg": ALGORITHM,
            "kid": row["kid"],
            "x": base64.urlsafe_b64encode(row["public_key"]).rstrip(b"=").decode(),
        }
        for row in rows
    ]
    return {"keys": keys}


@dataclass(frozen=True, slots=True)
class AccessTokenTerms:
    """What every access token says: who issues it, and for whom."""

    issuer: str
    audience: str


class AccessTokenIssuer:
    """Signs access tokens with the current key, which is looked up again every ten seconds."""

    def __init__(self, ring: KeyRing, terms: AccessTokenTerms) -> None:
        self._ring = ring
        self._terms = terms
        self._signer: tuple[str, Ed25519PrivateKey] | None = None
        self._looked_up_at = float("-inf")

    async def issue(
        self, session: AsyncSession, *, user_id: UUID, session_id: UUID, roles: Sequence[str], seconds: int
    ) -> str:
        """Return an access token that is good for so many seconds."""
        kid, key = await self.current_key(session)
        issued = int(utcnow().timestamp())
        claims = {
            "iss": self._terms.issuer,
            "aud": self._terms.audience,
            "sub": str(user_id),
            "sid": str(session_id),
            "jti": str(uuid7()),
            "iat": issued,
            "nbf": issued,
            "exp": issued + seconds,
            "scope": "",
            "roles": sorted(roles),
            "ver": TOKEN_VERSION,
        }
        return jwt.encode(claims, key, ALGORITHM, headers={"typ": ACCESS_TYPE, "kid": kid})

    async def current_key(self, session: AsyncSession) -> tuple[str, Ed25519PrivateKey]:
        """Return the key that signs now, with its id. Raises SealError when the ring can't open it."""
        now = time.monotonic()
        if self._signer is None or now - self._looked_up_at > REFRESH_SECONDS:
            rows = await repository.published(session)
            current = next(row for row in rows if row["state"] == repository.CURRENT)
            raw = self._ring.open(current["private_key_sealed"], place=_place(current["kid"]))
            self._signer = current["kid"], Ed25519PrivateKey.from_private_bytes(raw)
            self._looked_up_at = now
        return self._signer


def _new_key(state: str, ring: KeyRing) -> dict[str, Any]:
    private = Ed25519PrivateKey.generate()
    kid = str(uuid7())
    return {
        "kid": kid,
        "public_key": private.public_key().public_bytes_raw(),
        "private_key_sealed": ring.seal(private.private_bytes_raw(), place=_place(kid)),
        "state": state,
        "created_at": utcnow(),
    }


def _place(kid: str) -> str:
    return f"signing_key|private_key_sealed|{kid}"
