"""Periodic work on invitations."""

from chassis.clock import utcnow
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.invitations import repository
from tasks_service.invitations.rules import KEPT


async def purge_invitations(session: AsyncSession) -> bool:
    """Forget invitations that expired a month ago, with their addresses."""
    return await repository.purge(session, before=utcnow() - KEPT)
