"""The caller of a service: only what the gateway's signed header says (R21)."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Annotated

from fastapi import Depends, Request

from chassis.clock import utcnow
from chassis.errors import NotFound, SessionRequired, Unauthenticated
from chassis.identity import Principal
from chassis.tokens import IdentityVerifier, TokenError, VerifiedIdentity
from chassis.web.routing import TokenRule, token_rule

HEADER = "x-taskloom-identity"
FIELD = HEADER.encode()
READING = frozenset({"GET", "HEAD"})
CACHE_ENTRIES = 10_000


class IdentityCache:
    """Verifies identity headers, each distinct one once: a signature costs 150 times a look-up."""

    def __init__(self, verifier: IdentityVerifier, *, entries: int = CACHE_ENTRIES) -> None:
        self._verifier = verifier
        self._entries = entries
        self._seen: OrderedDict[str, VerifiedIdentity] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def principal(self, header: str | None) -> Principal:
        """Return the caller. Raises Unauthenticated without a header that is valid now."""
        if not header:
            raise Unauthenticated
        identity = self._seen.get(header)
        if identity is None:
            identity = self._verify(header)
        if identity.expires_at <= utcnow().timestamp():
            self._seen.pop(header, None)
            raise Unauthenticated
        return identity.principal

    def _verify(self, header: str) -> VerifiedIdentity:
        try:
            identity = self._verifier.verify(header)
        except TokenError as error:
            raise Unauthenticated(log_detail=str(error)) from None
        self._seen[header] = identity
        if len(self._seen) > self._entries:
            self._seen.popitem(last=False)
        return identity


async def current_principal(request: Request) -> Principal:
    """Return the user who calls, by a credential that is good for this route.

    Raises Unauthenticated, and for API tokens what `check_token` raises.
    """
    cache: IdentityCache = request.app.state.identities
    principal = cache.principal(request.headers.get(HEADER))
    if principal.kind != "user":
        raise Unauthenticated
    check_token(principal, token_rule(request.scope["endpoint"]), method=request.method)
    return principal


def check_token(principal: Principal, rule: TokenRule | None, *, method: str = "GET") -> None:
    """Check an API token against a route's rule; a session may do whatever its user may.

    Raises InsufficientScope, TokenRestricted, TokenReadOnly, SessionRequired.
    """
    if principal.is_session:
        return
    if rule is None or (rule.scope is None and not rule.any_token):
        raise SessionRequired
    if rule.scope is None:
        return
    principal.require_scope(rule.scope, reads=method in READING)


def user_of(
    identities: IdentityCache, given: Mapping[bytes, bytes], rule: TokenRule | None, *, method: str = "GET"
) -> Principal | None:
    """Return what current_principal does, by the headers that are given; None for a service.

    Raises Unauthenticated, and what check_token raises.
    """
    caller = identities.principal(given.get(FIELD, b"").decode("latin-1"))
    check_token(caller, rule, method=method)
    return caller if caller.kind == "user" else None


async def calling_service(request: Request) -> Principal:
    """Return the calling process of the system; for internal endpoints. To anybody else there is nothing here."""
    cache: IdentityCache = request.app.state.identities
    principal = cache.principal(request.headers.get(HEADER))
    if principal.kind != "service":
        raise NotFound
    return principal


CurrentPrincipal = Annotated[Principal, Depends(current_principal)]
CallingService = Annotated[Principal, Depends(calling_service)]
