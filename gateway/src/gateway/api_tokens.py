"""API tokens (R14): opaque, so that the auth service is asked what each may do, once in 30 seconds."""

import asyncio
import ipaddress
from collections import OrderedDict
from typing import Literal, TypeVar
from uuid import UUID

import aiohttp
import structlog
from chassis.clock import utcnow
from chassis.errors import RateLimited
from chassis.identity import Principal
from chassis.secret_tokens import API_TOKEN, token_digest
from chassis.tokens import AccessToken, IdentitySigner
from pydantic import AwareDatetime, BaseModel

from gateway.callers import Caller, Network
from gateway.edge import limit_key
from gateway.errors import AuthStateUnavailable, InvalidToken
from gateway.rate_limit import WINDOW_SECONDS, LocalLog
from gateway.revocation import GATEWAY_ID, Revocations

log = structlog.get_logger()

CACHE_ENTRIES = 10_000
CACHE_SECONDS = 30.0
REFUSED_SECONDS = 5.0
ASK_SECONDS = 2.0
ASK_TIMES = 3
V = TypeVar("V")
TROUBLE = (aiohttp.ClientError, TimeoutError, ValueError)


class Resolution(BaseModel):
    """What the auth service says of a token; of one that is not `active` nothing else."""

    active: bool
    token_id: UUID | None = None
    user_id: UUID | None = None
    kind: Literal["user", "service_account"] = "user"
    roles: list[str] = []
    scopes: list[str] = []
    workspace_id: UUID | None = None
    project_ids: list[UUID] | None = None
    ip_allowlist: list[str] | None = None
    read_only: bool = False
    expires_at: AwareDatetime | None = None


class ApiTokens:
    """Remembers answers for 30 seconds, and for no longer than no mark concerns the token or its user."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        revocations: Revocations,
        signer: IdentitySigner,
        *,
        invented_per_minute: int,
        entries: int = CACHE_ENTRIES,
    ) -> None:
        self._session = session
        self._url = url
        self._revocations = revocations
        self._signer = signer
        self._entries = entries
        self._callers: OrderedDict[bytes, Caller] = OrderedDict()
        self._refused: OrderedDict[bytes, float] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[Caller | None]] = {}
        self._invented = LocalLog(WINDOW_SECONDS)
        self._invented_per_minute = invented_per_minute

    async def find(self, token: str, *, client: str) -> Caller:
        """Return whose token it is. Raises InvalidToken, AddressNotAllowed, RateLimited or AuthStateUnavailable."""
        if not API_TOKEN.fits(token):
            raise InvalidToken(log_detail="not the form of an API token")
        digest = token_digest(token)
        caller = self._known(digest) or await self._ask_for(digest, client)
        if caller is None:
            raise InvalidToken(log_detail="no such API token in force")
        caller.check_address(client)
        return caller

    async def _ask_for(self, digest: bytes, client: str) -> Caller | None:
        """Ask, unless the client has come with so many different tokens that are none: each costs auth a query."""
        address, now = limit_key(client), asyncio.get_running_loop().time()
        if self._invented.count(address, now=now) >= self._invented_per_minute:
            raise RateLimited(retry_after=1, log_detail="too many API tokens that are none")
        is_new = digest not in self._refused
        caller = await self._ask_once(digest, client)
        if caller is None and is_new:
            self._invented.note(address, now=asyncio.get_running_loop().time())
        return caller

    def _known(self, digest: bytes) -> Caller | None:
        """Return what is remembered of a token. Raises InvalidToken for one that was just refused."""
        now = utcnow().timestamp()
        if self._refused.get(digest, 0.0) > now:
            raise InvalidToken(log_detail="an API token that was just refused")
        caller = self._callers.get(digest)
        if caller is None or now - caller.verified_at > CACHE_SECONDS or self._revocations.concern(caller):
            return None
        return caller

    async def _ask_once(self, digest: bytes, client: str) -> Caller | None:
        """Ask, or wait for the answer to somebody who asks already."""
        task = self._asking.get(digest)
        if task is None:
            task = asyncio.create_task(self._ask(digest, client))
            self._asking[digest] = task
            task.add_done_callback(lambda _: self._asking.pop(digest, None))
        return await asyncio.shield(task)

    async def _ask(self, digest: bytes, client: str) -> Caller | None:
        """Ask until no mark has come in meanwhile that concerns the answer. Raises AuthStateUnavailable."""
        for _ in range(ASK_TIMES):
            seen, now = self._revocations.position, utcnow().timestamp()
            caller = self._caller(await self._resolve(digest, client), seen, now)
            if caller is None:
                _remember(self._refused, digest, now + REFUSED_SECONDS, self._entries)
                return None
            if not self._revocations.concern(caller):
                _remember(self._callers, digest, caller, self._entries)
                return caller
        raise AuthStateUnavailable(retry_after=1, log_detail="an API token that changes all the time")

    async def _resolve(self, digest: bytes, client: str) -> Resolution:
        identity = self._signer.sign(Principal(GATEWAY_ID, GATEWAY_ID, kind="service"), now=utcnow())
        try:
            async with self._session.post(
                self._url,
                json={"digest": digest.hex(), "address": client},
                headers={"x-taskloom-identity": identity, "content-type": "application/json"},
                timeout=aiohttp.ClientTimeout(total=ASK_SECONDS),
                allow_redirects=False,
            ) as response:
                response.raise_for_status()
                return Resolution.model_validate_json(await response.read())
        except TROUBLE as error:
            raise AuthStateUnavailable(retry_after=2, log_detail=type(error).__name__) from None

    def _caller(self, found: Resolution, seen: int, now: float) -> Caller | None:
        if not found.active or found.user_id is None or found.token_id is None or found.expires_at is None:
            return None
        principal = Principal(
            found.user_id,
            found.token_id,
            roles=frozenset(found.roles),
            scopes=frozenset(found.scopes),
            via="bot" if found.kind == "service_account" else "token",
            workspace_id=found.workspace_id,
            project_ids=None if found.project_ids is None else frozenset(found.project_ids),
            read_only=found.read_only,
        )
        token = AccessToken(principal, str(found.token_id), int(now), int(found.expires_at.timestamp()))
        networks = None if found.ip_allowlist is None else networks_of(found.ip_allowlist)
        identity = self._signer.sign(principal, now=utcnow())
        return Caller(token, now, identity, marks_seen=seen, networks=networks)


def networks_of(texts: list[str]) -> tuple[Network, ...]:
    """Return networks by their text. Raises ValueError."""
    return tuple(ipaddress.ip_network(text) for text in texts)


def _remember(cache: OrderedDict[bytes, V], digest: bytes, value: V, entries: int) -> None:
    cache[digest] = value
    cache.move_to_end(digest)
    if len(cache) > entries:
        cache.popitem(last=False)
