"""Periodic work on deliveries."""

from sqlalchemy.ext.asyncio import AsyncSession

from notifications_service.deliveries import repository, service
from notifications_service.deliveries.rules import KEPT


async def purge_deliveries(session: AsyncSession) -> bool:
    """Forget what was settled as long ago as notifications are kept, and give up what has waited for too long."""
    waits = await service.expire_deliveries(session)
    return await repository.purge(session, older_than=KEPT) or waits
