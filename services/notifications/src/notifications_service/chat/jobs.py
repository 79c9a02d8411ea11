from sqlalchemy.ext.asyncio import AsyncSession

from notifications_service.chat import repository


async def purge_chats(session: AsyncSession) -> bool:
    """Forget connections of workspaces that have ended; return whether there may be more."""
    return await repository.remove_of_ended_workspaces(session)
