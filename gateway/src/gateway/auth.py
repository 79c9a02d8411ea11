"""Who calls: access tokens verified offline, and vouched for to the services (R2, R7, R21)."""

import time
from collections import OrderedDict

from chassis.clock import utcnow
from chassis.errors import Unauthenticated
from chassis.identity import Principal
from chassis.secret_tokens import API_TOKEN, token_digest
from chassis.tokens import (
    ACCESS_TYPE,
    MAX_TOKEN_CHARACTERS,
    AccessTokenVerifier,
    IdentitySigner,
    TokenError,
    key_id,
)
from prometheus_client import Counter

from gateway.api_tokens import ApiTokens
from gateway.callers import Caller
from gateway.errors import InvalidToken
from gateway.keys import PublishedKeys
from gateway.revocation import Revocations

CHECKS = Counter("taskloom_token_checks_total", "Access tokens checked.", ["outcome"])

FOUND_IN_CACHE = CHECKS.labels("cached")

CACHE_ENTRIES = 10_000
CACHE_SECONDS = 30.0
SCHEME = "bearer"


class Authenticator:
    """Verifies each distinct token at most every 30 seconds; revocation is looked at every time."""

    def __init__(
        self,
        verifier: AccessTokenVerifier,
        keys: PublishedKeys,
        revocations: Revocations,
        signer: IdentitySigner,
        api_tokens: ApiTokens,
        *,
        entries: int = CACHE_ENTRIES,
    ) -> None:
        self._verifier = verifier
        self._keys = keys
        self._revocations = revocations
        self._signer = signer
        self._api_tokens = api_tokens
        self._entries = entries
        self._callers: OrderedDict[bytes, Caller] = OrderedDict()

    async def authenticate(self, authorization: str | None, *, client: str) -> Caller:
        """Return who sent the header from an address.

        Raises Unauthenticated, InvalidToken, AddressNotAllowed, RateLimited or AuthStateUnavailable.
        """
        token = bearer_token(authorization)
        if token.startswith(API_TOKEN.prefix):
            caller = await self._api_tokens.find(token, client=client)
        else:
            caller = await self._of_session(token)
        if caller.token.expires_at <= time.time():
            raise InvalidToken
        self._revocations.check(caller)
        return caller

    def vouch_for(self, principal: Principal) -> str:
        """Return an identity for somebody who is known."""
        return self._signer.sign(principal, now=utcnow())

    async def _of_session(self, token: str) -> Caller:
        digest = token_digest(token)
        now = time.time()
        caller = self._callers.get(digest)
        if caller is not None and now - caller.verified_at <= CACHE_SECONDS:
            FOUND_IN_CACHE.inc()
            return caller
        caller = await self._verify(token, now)
        self._remember(digest, caller)
        return caller

    async def _verify(self, token: str, now: float) -> Caller:
        try:
            await self._keys.fetch_for(key_id(token, ACCESS_TYPE))
            verified = self._verifier.verify(token)
        except TokenError as error:
            CHECKS.labels("refused").inc()
            raise InvalidToken(log_detail=str(error)) from None
        CHECKS.labels("verified").inc()
        return Caller(verified, now, self.vouch_for(verified.principal))

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
