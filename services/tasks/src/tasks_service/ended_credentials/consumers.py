"""What auth tells of the ends of sessions and API tokens."""

from uuid import UUID

from chassis.broker.consumer import consumer
from chassis.outbox.envelope import EventEnvelope
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.ended_credentials.service import note_end


class End(BaseModel):
    """Of what is over only the id matters."""

    entity_id: UUID


@consumer(queue="tasks.ended-credentials", types=["session.revoked.v1", "session.compromised.v1", "token.revoked.v1"])
async def on_end_of_credential(event: EventEnvelope, session: AsyncSession) -> None:
    """Let no job go on that was started by what is over, nor one whose request comes later than the news of it."""
    credential_id = End.model_validate(event.data).entity_id
    await note_end(session, credential_id=credential_id, ended_at=event.occurred_at)
