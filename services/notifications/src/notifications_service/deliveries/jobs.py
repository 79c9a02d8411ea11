"""Periodic work on deliveries."""

from sqlalchemy.ext.asyncio import AsyncSession

from notifications_service.deliveries import repository
from notifications_service.deliveries.rules import KEPT


async def purge_deliveries(session: AsyncSession) -> bool:
    """Forget deliveries that were settled as long ago as notifications are kept."""
    return await repository.purge(session, older_than=KEPT)
