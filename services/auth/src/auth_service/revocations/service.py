"""Marking tokens as invalid before they expire (R6)."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from auth_service.revocations import repository


async def revoke_sessions(session: AsyncSession, session_ids: Sequence[UUID], *, expires_at: datetime) -> None:
    """Mark all access tokens of these sessions, until the last of them has expired."""
    if session_ids:
        await repository.add(session, "session", session_ids, expires_at=expires_at)
