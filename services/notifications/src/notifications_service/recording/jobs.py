"""Periodic work on recorded messages."""

from sqlalchemy.ext.asyncio import AsyncSession

from notifications_service.recording import repository
from notifications_service.recording.rules import KEPT


async def purge_recorded(session: AsyncSession) -> bool:
    """Forget what was recorded a week ago."""
    return await repository.purge(session, older_than=KEPT)
