"""Marking tokens as invalid before they expire (R6)."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from chassis.tokens import LEEWAY_SECONDS
from sqlalchemy.ext.asyncio import AsyncSession

from auth_service.revocations import repository

LEEWAY = timedelta(seconds=LEEWAY_SECONDS)
"""For so long after its end a verifier may still take a token, so marks are kept that much longer."""


async def revoke_sessions(session: AsyncSession, session_ids: Sequence[UUID], *, expires_at: datetime) -> None:
    """Mark all access tokens of these sessions; the last of them expires at `expires_at`."""
    if session_ids:
        await repository.add(session, "session", session_ids, expires_at=expires_at + LEEWAY)


async def revoke_user(
    session: AsyncSession,
    user_id: UUID,
    *,
    now: datetime,
    expires_at: datetime,
    including_this_second: bool = False,
) -> None:
    """Mark a user's access tokens that were issued before this second; the last of them expires at `expires_at`.

    Tokens tell their time in whole seconds: a login right after this must not look older than the mark. Tokens
    issued earlier in this very second are those of sessions that have just been marked one by one. Where sessions
    stay and only what their tokens say is old, `including_this_second` marks these, too: a refresh within the same
    second has to be repeated after it.
    """
    not_before = now.replace(microsecond=0) + timedelta(seconds=including_this_second)
    await repository.add(session, "user", [user_id], not_before=not_before, expires_at=expires_at + LEEWAY)
