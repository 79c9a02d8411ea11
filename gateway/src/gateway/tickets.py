"""Single-use tickets for browsers, which can't send an Authorization field with a WebSocket (R53)."""

import asyncio
import base64
import hashlib
import ipaddress
import secrets

import orjson
import redis.asyncio as redis
from chassis.clock import utcnow
from chassis.tokens import AccessToken, IdentitySigner
from pydantic import TypeAdapter
from redis.exceptions import RedisError

from gateway.callers import Caller
from gateway.edge import limit_key
from gateway.errors import InvalidToken, TicketsUnavailable

TICKET_BYTES = 32
TICKET_SECONDS = 30
MAX_TICKET_CHARACTERS = 64
REDIS_SECONDS = 1.0
TOKEN = TypeAdapter(AccessToken)
TROUBLE = (RedisError, OSError, TimeoutError)


class Tickets:
    """Issues and redeems tickets; Redis holds only their digests."""

    def __init__(self, server: redis.Redis, signer: IdentitySigner) -> None:
        self._redis = server
        self._signer = signer

    async def issue(self, caller: Caller, *, client: str) -> str:
        """Return a ticket that stands for the caller for 30 seconds. Raises TicketsUnavailable."""
        ticket = base64.urlsafe_b64encode(secrets.token_bytes(TICKET_BYTES)).rstrip(b"=").decode()
        content = {
            "token": TOKEN.dump_python(caller.token, mode="json"),
            "marks_seen": caller.marks_seen,
            "networks": caller.networks and [str(network) for network in caller.networks],
            "client": network_key(client),
        }
        try:
            async with asyncio.timeout(REDIS_SECONDS):
                await self._redis.set(_key(ticket), orjson.dumps(content), ex=TICKET_SECONDS)
        except TROUBLE:
            raise TicketsUnavailable(retry_after=1) from None
        return ticket

    async def redeem(self, ticket: str, *, client: str) -> Caller:
        """Return whom the ticket stands for, once. Raises InvalidToken, AddressNotAllowed or TicketsUnavailable."""
        if len(ticket) > MAX_TICKET_CHARACTERS:
            raise InvalidToken
        try:
            async with asyncio.timeout(REDIS_SECONDS):
                content = await self._redis.getdel(_key(ticket))
        except TROUBLE:
            raise TicketsUnavailable(retry_after=1) from None
        stored = orjson.loads(content) if content else None
        now = utcnow()
        if stored is None or stored["client"] != network_key(client):
            raise InvalidToken
        token = TOKEN.validate_python(stored["token"])
        if token.expires_at <= now.timestamp():
            raise InvalidToken
        networks = stored["networks"] and tuple(ipaddress.ip_network(text) for text in stored["networks"])
        identity = self._signer.sign(token.principal, now=now)
        caller = Caller(token, now.timestamp(), identity, marks_seen=stored["marks_seen"], networks=networks)
        caller.check_address(client)
        return caller


def network_key(client: str) -> str:
    """Return the /24 or /64 of an address: a phone may change its address within a network."""
    key = limit_key(client)
    return key.rpartition(".")[0] if key.count(".") == 3 else key  # noqa: PLR2004 - four parts make an IPv4 address


def _key(ticket: str) -> str:
    return "taskloom:ws-ticket:" + hashlib.sha256(ticket.encode()).hexdigest()
