"""Use cases of what is recorded. Each is part of one transaction that its caller commits."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from notifications_service.recording import repository


async def forget_messages(session: AsyncSession, *, user_id: UUID) -> None:
    """Forget what was recorded for somebody who is gone: it has their name and address in it."""
    await repository.remove_of_user(session, user_id)
