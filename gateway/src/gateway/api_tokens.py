"""API tokens (R14): opaque, so that the auth service is asked what each may do, once in 30 seconds."""

import asyncio
import math
import time
from collections import OrderedDict
from typing import Annotated, Literal, TypeVar
from uuid import UUID

import aiohttp
import structlog
from chassis.clock import utcnow
from chassis.errors import RateLimited
from chassis.identity import Principal
from chassis.secret_tokens import API_TOKEN, token_digest
from chassis.tokens import AccessToken, IdentitySigner
from pydantic import AwareDatetime, BaseModel, Field, IPvAnyNetwork, TypeAdapter

from gateway.callers import Caller
from gateway.edge import limit_key
from gateway.errors import AuthStateUnavailable, InvalidToken
from gateway.rate_limit import LocalLog
from gateway.revocation import GATEWAY_ID, Revocations

log = structlog.get_logger()

CACHE_ENTRIES = 10_000
CACHE_SECONDS = 30.0
REFUSED_SECONDS = 5.0
ASK_SECONDS = 2.0
ASKED_AT_ONCE = 16
ASK_TIMES = 3
V = TypeVar("V")
TROUBLE = (aiohttp.ClientError, OSError, TimeoutError, ValueError)


class Refused(BaseModel):
    """The auth service's answer about a token that is not in force."""

    active: Literal[False]


class Resolved(BaseModel):
    """The auth service's answer about a token in force."""

    active: Literal[True]
    token_id: UUID
    user_id: UUID
    kind: Literal["user", "service_account"]
    roles: frozenset[str]
    scopes: frozenset[str]
    workspace_id: UUID | None
    project_ids: frozenset[UUID] | None
    ip_allowlist: tuple[IPvAnyNetwork, ...] | None
    read_only: bool
    expires_at: AwareDatetime


ANSWER: TypeAdapter[Resolved | Refused] = TypeAdapter(Annotated[Resolved | Refused, Field(discriminator="active")])


class ApiTokens:
    """Remembers answers for 30 seconds, and for no longer than no mark concerns the token or its user."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        revocations: Revocations,
        signer: IdentitySigner,
        *,
        guesses_per_minute: int,
    ) -> None:
        self._session = session
        self._url = url
        self._revocations = revocations
        self._signer = signer
        self._guesses = guesses_per_minute
        self._failures = LocalLog(60.0)
        self._slots = asyncio.Semaphore(ASKED_AT_ONCE)
        self._callers: OrderedDict[bytes, Caller] = OrderedDict()
        self._refused: OrderedDict[bytes, float] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[Caller | None]] = {}

    async def find(self, token: str, *, client: str) -> Caller:
        """Return whose token it is. Raises InvalidToken, AddressNotAllowed, RateLimited or AuthStateUnavailable."""
        if not API_TOKEN.fits(token):
            raise InvalidToken(log_detail="not the form of an API token")
        digest = token_digest(token)
        caller = self._known(digest) or await self._ask_once(digest, client)
        if caller is None:
            raise InvalidToken(log_detail="no such API token in force")
        caller.check_address(client)
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
        """Ask, or wait for the answer to somebody who asks already. Raises RateLimited."""
        task = self._asking.get(digest)
        if task is None:
            self._refuse_guessing(client)
            task = asyncio.create_task(self._ask(digest, client))
            self._asking[digest] = task
            task.add_done_callback(lambda _: self._asking.pop(digest, None))
        return await asyncio.shield(task)

    def _refuse_guessing(self, client: str) -> None:
        """Raise RateLimited for an address that has named too many tokens which there are not: each is a question."""
        wait = self._failures.full_for(limit_key(client), self._guesses, now=_now())
        if wait:
            raise RateLimited(retry_after=math.ceil(wait))

    async def _ask(self, digest: bytes, client: str) -> Caller | None:
        """Ask until no mark has come in meanwhile that concerns the answer. Raises AuthStateUnavailable."""
        for _ in range(ASK_TIMES):
            seen, now = self._revocations.position, utcnow().timestamp()
            answer = await self._resolve(digest, client)
            if isinstance(answer, Refused):
                _remember(self._refused, digest, now + REFUSED_SECONDS, CACHE_ENTRIES)
                self._failures.note(limit_key(client), now=_now())
                return None
            caller = self._caller(answer, seen, now)
            if not self._revocations.concern(caller):
                _remember(self._callers, digest, caller, CACHE_ENTRIES)
                return caller
        raise AuthStateUnavailable(retry_after=1, log_detail="an API token that changes all the time")

    async def _resolve(self, digest: bytes, client: str) -> Resolved | Refused:
        """Return the answer; the time that it may take includes waiting for others to be answered."""
        try:
            async with asyncio.timeout(ASK_SECONDS), self._slots:
                return ANSWER.validate_json(await self._post(digest, client))
        except TROUBLE as error:
            raise AuthStateUnavailable(retry_after=2, log_detail=type(error).__name__) from None

    async def _post(self, digest: bytes, client: str) -> bytes:
        identity = self._signer.sign(Principal(GATEWAY_ID, GATEWAY_ID, kind="service"), now=utcnow())
        async with self._session.post(
            self._url,
            json={"digest": digest.hex(), "address": client},
            headers={"x-taskloom-identity": identity, "content-type": "application/json"},
            allow_redirects=False,
        ) as response:
            response.raise_for_status()
            return await response.read()

    def _caller(self, found: Resolved, seen: int, now: float) -> Caller:
        principal = Principal(
            found.user_id,
            found.token_id,
            roles=found.roles,
            scopes=found.scopes,
            via="bot" if found.kind == "service_account" else "token",
            workspace_id=found.workspace_id,
            project_ids=found.project_ids,
            read_only=found.read_only,
            expires_at=found.expires_at,
        )
        token = AccessToken(principal, str(found.token_id), int(now), int(found.expires_at.timestamp()))
        identity = self._signer.sign(principal, now=utcnow())
        return Caller(token, now, identity, marks_seen=seen, networks=found.ip_allowlist)


def _now() -> float:
    return time.monotonic()


def _remember(cache: OrderedDict[bytes, V], digest: bytes, value: V, entries: int) -> None:
    cache[digest] = value
    cache.move_to_end(digest)
    if len(cache) > entries:
        cache.popitem(last=False)
