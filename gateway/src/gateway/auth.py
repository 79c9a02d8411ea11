"""Who calls: access tokens verified offline, and vouched for to the services (R2, R7, R21)."""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass

from chassis.clock import utcnow
from chassis.errors import Unauthenticated
from chassis.tokens import (
    ACCESS_TYPE,
    MAX_TOKEN_CHARACTERS,
    AccessToken,
    AccessTokenVerifier,
    IdentitySigner,
    TokenError,
    key_id,
)
from prometheus_client import Counter

from gateway.errors import InvalidToken
from gateway.keys import PublishedKeys
from gateway.revocation import Revocations

CHECKS = Counter("taskloom_token_checks_total", "Access tokens checked.", ["outcome"])

CACHE_ENTRIES = 10_000
CACHE_SECONDS = 30.0
SCHEME = "bearer"


@dataclass(slots=True)
class Caller:
    """A verified token with the identity header that was signed for it."""

    token: AccessToken
    verified_at: float
    identity: str


class Authenticator:
    """Verifies each distinct token at most every 30 seconds; revocation is looked at every time."""

    def __init__(
        self,
        verifier: AccessTokenVerifier,
        keys: PublishedKeys,
        revocations: Revocations,
        signer: IdentitySigner,
        *,
        entries: int = CACHE_ENTRIES,
    ) -> None:
        self._verifier = verifier
        self._keys = keys
        self._revocations = revocations
        self._signer = signer
        self._entries = entries
        self._callers: OrderedDict[bytes, Caller] = OrderedDict()

    async def authenticate(self, authorization: str | None) -> Caller:
        """Return who sent the header. Raises Unauthenticated, InvalidToken or AuthStateUnavailable."""
        token = bearer_token(authorization)
        digest = hashlib.sha256(token.encode()).digest()
        now = utcnow().timestamp()
        caller = self._callers.get(digest)
        if caller is None or now - caller.verified_at > CACHE_SECONDS:
            caller = await self._verify(token, now)
            self._remember(digest, caller)
        else:
            CHECKS.labels("cached").inc()
        if caller.token.expires_at <= now:
            raise InvalidToken
        self._revocations.check(caller.token)
        return caller

    def vouch_for(self, token: AccessToken) -> str:
        """Return a fresh identity header for a token that was verified before."""
        return self._signer.sign(token.principal, now=utcnow())

    async def _verify(self, token: str, now: float) -> Caller:
        try:
            await self._keys.fetch_for(key_id(token, ACCESS_TYPE))
            verified = self._verifier.verify(token)
        except TokenError as error:
            CHECKS.labels("refused").inc()
            raise InvalidToken(log_detail=str(error)) from None
        CHECKS.labels("verified").inc()
        return Caller(verified, now, self.vouch_for(verified))

    def _remember(self, digest: bytes, caller: Caller) -> None:
        self._callers[digest] = caller
        self._callers.move_to_end(digest)
        if len(self._callers) > self._entries:
            self._callers.popitem(last=False)


def bearer_token(authorization: str | None) -> str:
    """Return the token of an Authorization field (RFC 6750). Raises Unauthenticated or InvalidToken."""
    if authorization is None:
        raise Unauthenticated
    scheme, _, token = authorization.partition(" ")
    token = token.strip(" ")
    if scheme.lower() != SCHEME or not token:
        raise Unauthenticated
    if len(token) > MAX_TOKEN_CHARACTERS or not token.isascii():
        raise InvalidToken
    return token
