"""Single-use tickets for browsers, which can't send an Authorization field with a WebSocket (R53)."""

import asyncio
import base64
import hashlib
import secrets
from uuid import UUID

import orjson
import redis.asyncio as redis
from chassis.clock import utcnow
from chassis.identity import Principal
from chassis.tokens import AccessToken
from redis.exceptions import RedisError

from gateway.edge import limit_key
from gateway.errors import InvalidToken, TicketsUnavailable

TICKET_BYTES = 32
TICKET_SECONDS = 30
MAX_TICKET_CHARACTERS = 64
REDIS_SECONDS = 1.0
TROUBLE = (RedisError, OSError, TimeoutError)


class Tickets:
    """Issues and redeems tickets; Redis holds only their digests."""

    def __init__(self, server: redis.Redis) -> None:
        self._redis = server

    async def issue(self, token: AccessToken, *, client: str) -> str:
        """Return a ticket that stands for the token for 30 seconds. Raises TicketsUnavailable."""
        ticket = base64.urlsafe_b64encode(secrets.token_bytes(TICKET_BYTES)).rstrip(b"=").decode()
        principal = token.principal
        content = {
            "sub": str(principal.user_id),
            "sid": str(principal.session_id),
            "roles": sorted(principal.roles),
            "scopes": sorted(principal.scopes),
            "iat": token.issued_at,
            "exp": token.expires_at,
            "client": network_key(client),
        }
        try:
            async with asyncio.timeout(REDIS_SECONDS):
                await self._redis.set(_key(ticket), orjson.dumps(content), ex=TICKET_SECONDS)
        except TROUBLE:
            raise TicketsUnavailable(retry_after=1) from None
        return ticket

    async def redeem(self, ticket: str, *, client: str) -> AccessToken:
        """Return what the ticket stands for, once. Raises InvalidToken or TicketsUnavailable."""
        if len(ticket) > MAX_TICKET_CHARACTERS:
            raise InvalidToken
        try:
            async with asyncio.timeout(REDIS_SECONDS):
                content = await self._redis.getdel(_key(ticket))
        except TROUBLE:
            raise TicketsUnavailable(retry_after=1) from None
        stored = orjson.loads(content) if content else None
        if stored is None or stored["client"] != network_key(client) or stored["exp"] <= utcnow().timestamp():
            raise InvalidToken
        principal = Principal(
            UUID(stored["sub"]), UUID(stored["sid"]), frozenset(stored["roles"]), frozenset(stored["scopes"])
        )
        return AccessToken(principal, "ticket", stored["iat"], stored["exp"])


def network_key(client: str) -> str:
    """Return the /24 or /64 of an address: a phone may change its address within a network."""
    key = limit_key(client)
    return key.rpartition(".")[0] if key.count(".") == 3 else key  # noqa: PLR2004 - four parts make an IPv4 address


def _key(ticket: str) -> str:
    return "taskloom:ticket:" + hashlib.sha256(ticket.encode()).hexdigest()
