"""Which credentials have ended, so that nothing is done by them after the request that came with them."""

from datetime import datetime
from uuid import UUID

from chassis.clock import utcnow
from chassis.identity import Principal
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.ended_credentials import repository
from tasks_service.ended_credentials.errors import CredentialExpired, CredentialRevoked


async def note_end(session: AsyncSession, *, credential_id: UUID, ended_at: datetime) -> None:
    """Note that a session or an API token is over; once is enough."""
    await repository.add(session, credential_id, ended_at)


async def require_credential(session: AsyncSession, actor: Principal) -> None:
    """Raise CredentialRevoked or CredentialExpired where somebody's session or API token is over.

    Of an API token the end is known from the beginning; a session that is used ends by being ended.
    """
    if actor.expires_at is not None and actor.expires_at <= utcnow():
        raise CredentialExpired
    if await repository.is_there(session, actor.session_id):
        raise CredentialRevoked
