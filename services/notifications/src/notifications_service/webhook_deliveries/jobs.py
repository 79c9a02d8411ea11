from chassis.clock import utcnow
from sqlalchemy.ext.asyncio import AsyncSession

from notifications_service.webhook_deliveries.service import purge_deliveries


async def purge_webhooks(session: AsyncSession) -> bool:
    """Forget a batch of old deliveries, and of what belongs to nobody any more; return whether there may be more."""
    return await purge_deliveries(session, now=utcnow())
