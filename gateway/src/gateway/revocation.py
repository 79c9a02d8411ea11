"""Revocation marks: the full set in memory, asked of the auth service twice a second (R6).

The truth is asked directly and not through Redis, so that a Redis that restarts empty never makes a revoked
token valid again.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import UUID

import aiohttp
import structlog
from chassis.clock import utcnow
from chassis.identity import Principal
from chassis.tokens import AccessToken, IdentitySigner
from prometheus_client import Gauge

from gateway.errors import AuthStateUnavailable, InvalidToken

log = structlog.get_logger()

AGE = Gauge("taskloom_revocations_age_seconds", "Age of what is known about revocations, in seconds.")

POLL_SECONDS = 0.5
MAX_AGE_SECONDS = 60.0
PURGE_EVERY = 120
GATEWAY_ID = UUID(int=0)


class Revocations:
    """Which sessions are revoked, and from when on users' tokens count."""

    def __init__(self, session: aiohttp.ClientSession, url: str, signer: IdentitySigner) -> None:
        self._session = session
        self._url = url
        self._signer = signer
        self._listeners: list[Callable[[UUID], None]] = []
        self._sessions: dict[UUID, float] = {}
        self._users: dict[UUID, tuple[float, float]] = {}
        self._cursor = 0
        self._fresh_at = 0.0

    def check(self, token: AccessToken) -> None:
        """Raise InvalidToken for a revoked token, AuthStateUnavailable when that can't be told."""
        if utcnow().timestamp() - self._fresh_at > MAX_AGE_SECONDS:
            raise AuthStateUnavailable(retry_after=2)
        principal = token.principal
        if principal.session_id in self._sessions:
            raise InvalidToken
        limit = self._users.get(principal.user_id)
        if limit is not None and token.issued_at < limit[0]:
            raise InvalidToken

    def on_session(self, listener: Callable[[UUID], None]) -> None:
        """Call `listener` with the id of each session that is revoked from now on."""
        self._listeners.append(listener)

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the set fresh until `stop` is set."""
        rounds = 0
        while not stop.is_set():
            try:
                while await self._fetch():
                    pass
            except (aiohttp.ClientError, TimeoutError, ValueError, KeyError) as error:
                log.warning("revocations.unavailable", reason=type(error).__name__)
            rounds += 1
            if rounds % PURGE_EVERY == 0:
                self._purge()
            AGE.set(utcnow().timestamp() - self._fresh_at)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), POLL_SECONDS)

    async def _fetch(self) -> bool:
        """Take in one answer; tell whether there is more."""
        asked_at = utcnow()
        identity = self._signer.sign(Principal(GATEWAY_ID, GATEWAY_ID, kind="service"), now=asked_at)
        async with self._session.get(
            self._url,
            params={"since": str(self._cursor)},
            headers={"x-taskloom-identity": identity},
            timeout=aiohttp.ClientTimeout(total=2),
        ) as response:
            response.raise_for_status()
            answer = await response.json(content_type=None)
        self._take_in(answer)
        if answer["more"]:
            return True
        self._fresh_at = asked_at.timestamp()
        return False

    def _take_in(self, answer: dict[str, Any]) -> None:
        for mark in answer["sessions"]:
            session_id = UUID(mark["sid"])
            self._sessions[session_id] = _seconds(mark["expires_at"])
            for listener in self._listeners:
                listener(session_id)
        for mark in answer["users"]:
            self._users[UUID(mark["user_id"])] = _seconds(mark["not_before"]), _seconds(mark["expires_at"])
        self._cursor = answer["cursor"]

    def _purge(self) -> None:
        now = utcnow().timestamp()
        self._sessions = {session: end for session, end in self._sessions.items() if end > now}
        self._users = {user: mark for user, mark in self._users.items() if mark[1] > now}


def _seconds(instant: str) -> float:
    return datetime.fromisoformat(instant).timestamp()
