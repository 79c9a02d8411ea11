"""Revocation marks: the full set in memory, asked of the auth service twice a second (R6).

The truth is asked directly and not through Redis, so that a Redis that restarts empty never makes a revoked
token valid again.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple
from uuid import UUID

import aiohttp
import structlog
from chassis.clock import utcnow
from chassis.identity import Principal
from chassis.tokens import IdentitySigner
from prometheus_client import Gauge
from pydantic import AwareDatetime, BaseModel

from gateway.callers import Caller
from gateway.errors import AuthStateUnavailable, InvalidToken

log = structlog.get_logger()

AGE = Gauge("taskloom_revocations_age_seconds", "Age of what is known about revocations, in seconds.")

POLL_SECONDS = 0.5
PURGE_EVERY = 120
GATEWAY_ID = UUID(int=0)


class SessionMark(BaseModel):
    sid: UUID
    expires_at: AwareDatetime


class UserMark(BaseModel):
    user_id: UUID
    not_before: AwareDatetime
    expires_at: AwareDatetime


class Marks(BaseModel):
    """What the auth service answers: marks, and whether there are more after `cursor`."""

    cursor: int
    more: bool
    sessions: list[SessionMark]
    users: list[UserMark]


class UserLimit(NamedTuple):
    """What all marks of a user come to; instants in seconds since the epoch, `position` is that of the last one."""

    not_before: float
    expires_at: float
    position: int


NO_LIMIT = UserLimit(not_before=0.0, expires_at=0.0, position=0)


class Revocations:
    """Which sessions are revoked, and from when on users' tokens count; trusted for `max_age` seconds."""

    def __init__(self, session: aiohttp.ClientSession, url: str, signer: IdentitySigner, *, max_age: float) -> None:
        self._session = session
        self._url = url
        self._signer = signer
        self._max_age = max_age
        self._listeners: list[Callable[[Marks], None]] = []
        self._silence_listeners: list[Callable[[], None]] = []
        self._sessions: dict[UUID, float] = {}
        self._users: dict[UUID, UserLimit] = {}
        self._cursor = 0
        self._fresh_at = float("-inf")

    @property
    def are_known(self) -> bool:
        """Whether all marks were known once, however old they are by now."""
        return self._fresh_at != float("-inf")

    @property
    def position(self) -> int:
        """Up to which mark everything is known."""
        return self._cursor

    def check(self, caller: Caller) -> None:
        """Raise InvalidToken for a revoked token, AuthStateUnavailable when that can't be told."""
        if self._is_stale():
            raise AuthStateUnavailable(retry_after=2)
        if (self._sessions or self._users) and self.concern(caller):
            raise InvalidToken

    def concern(self, caller: Caller) -> bool:
        """Tell whether a mark says that what is known of a caller does not hold any more.

        The tokens of a session end with it, and with an instant before which its user's tokens were issued. What an
        API token may do is asked of the auth service; any later mark of its user makes that answer an old one.
        """
        principal = caller.token.principal
        if principal.session_id in self._sessions:
            return True
        limit = self._users.get(principal.user_id)
        if limit is None:
            return False
        if caller.marks_seen is not None:
            return limit.position > caller.marks_seen
        return caller.token.issued_at < limit.not_before

    def on_marks(self, listener: Callable[[Marks], None]) -> None:
        """Call `listener` with the marks that come in from now on."""
        self._listeners.append(listener)

    def on_silence(self, listener: Callable[[], None]) -> None:
        """Call `listener` again and again while what is known is too old to be trusted."""
        self._silence_listeners.append(listener)

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the set fresh until `stop` is set."""
        rounds = 0
        while not stop.is_set():
            try:
                while await self._fetch():
                    pass
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                log.warning("revocations.unavailable", reason=type(error).__name__)
            if self._is_stale():
                for listener in self._silence_listeners:
                    listener()
            rounds += 1
            if rounds % PURGE_EVERY == 0:
                self._purge()
            AGE.set(_now() - self._fresh_at)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), POLL_SECONDS)

    def _is_stale(self) -> bool:
        return _now() - self._fresh_at > self._max_age

    async def _fetch(self) -> bool:
        """Take in one answer; tell whether there is more."""
        asked_at = _now()
        identity = self._signer.sign(Principal(GATEWAY_ID, GATEWAY_ID, kind="service"), now=utcnow())
        async with self._session.get(
            self._url,
            params={"since": str(self._cursor)},
            headers={"x-taskloom-identity": identity},
            timeout=aiohttp.ClientTimeout(total=2),
            allow_redirects=False,
        ) as response:
            response.raise_for_status()
            marks = Marks.model_validate_json(await response.read())
        self._take_in(marks)
        if marks.more:
            return True
        self._fresh_at = asked_at
        return False

    def _take_in(self, marks: Marks) -> None:
        for mark in marks.sessions:
            self._sessions[mark.sid] = mark.expires_at.timestamp()
        for of_user in marks.users:
            earlier = self._users.get(of_user.user_id, NO_LIMIT)
            self._users[of_user.user_id] = UserLimit(
                not_before=max(earlier.not_before, of_user.not_before.timestamp()),
                expires_at=max(earlier.expires_at, of_user.expires_at.timestamp()),
                position=marks.cursor,
            )
        self._cursor = marks.cursor
        if marks.sessions or marks.users:
            for listener in self._listeners:
                listener(marks)

    def _purge(self) -> None:
        now = utcnow().timestamp()
        self._sessions = {session: end for session, end in self._sessions.items() if end > now}
        self._users = {user: limit for user, limit in self._users.items() if limit.expires_at > now}


def _now() -> float:
    return time.monotonic()
