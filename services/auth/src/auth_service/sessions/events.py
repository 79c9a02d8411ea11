"""Facts about sessions."""

from collections.abc import Iterable
from uuid import UUID

from chassis.outbox.envelope import EventEnvelope
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from auth_service.users.events import fact_of, publish_events

SESSION_STARTED = "session.started.v1"
SESSION_REVOKED = "session.revoked.v1"
SESSION_COMPROMISED = "session.compromised.v1"

STARTED, ENDED = 1, 2


class SessionResource(BaseModel):
    """A session as events show it."""

    id: UUID
    user_id: UUID


async def session_started(session: AsyncSession, *, session_id: UUID, user_id: UUID) -> None:
    await publish_events(session, _fact(SESSION_STARTED, session_id, user_id, STARTED))


async def sessions_revoked(session: AsyncSession, *, session_ids: Iterable[UUID], user_id: UUID) -> None:
    """Each is a fact of its own, and all are added at once, since somebody may have many."""
    facts = [_fact(SESSION_REVOKED, one, user_id, ENDED) for one in session_ids]
    await publish_events(session, *facts)


async def session_compromised(session: AsyncSession, *, session_id: UUID, user_id: UUID) -> None:
    """A refresh token came back after its use: somebody has a copy."""
    await publish_events(session, _fact(SESSION_COMPROMISED, session_id, user_id, ENDED))


def _fact(event_type: str, session_id: UUID, user_id: UUID, version: int) -> EventEnvelope:
    resource = SessionResource(id=session_id, user_id=user_id).model_dump(mode="json")
    return fact_of(event_type, "session", session_id, version, user_id, resource)
