"""Facts about sessions."""

from uuid import UUID

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from auth_service.users.events import publish_fact

SESSION_STARTED = "session.started.v1"
SESSION_REVOKED = "session.revoked.v1"
SESSION_COMPROMISED = "session.compromised.v1"

STARTED, ENDED = 1, 2


class SessionResource(BaseModel):
    """A session as events show it."""

    id: UUID
    user_id: UUID


async def session_started(session: AsyncSession, *, session_id: UUID, user_id: UUID) -> None:
    await _publish(session, SESSION_STARTED, session_id, user_id, STARTED)


async def session_revoked(session: AsyncSession, *, session_id: UUID, user_id: UUID) -> None:
    await _publish(session, SESSION_REVOKED, session_id, user_id, ENDED)


async def session_compromised(session: AsyncSession, *, session_id: UUID, user_id: UUID) -> None:
    """A refresh token came back after its use: somebody has a copy."""
    await _publish(session, SESSION_COMPROMISED, session_id, user_id, ENDED)


async def _publish(session: AsyncSession, event_type: str, session_id: UUID, user_id: UUID, version: int) -> None:
    resource = SessionResource(id=session_id, user_id=user_id).model_dump(mode="json")
    await publish_fact(session, event_type, "session", session_id, version, user_id, resource)
