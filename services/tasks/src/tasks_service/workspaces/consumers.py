"""What happens elsewhere and concerns workspaces."""

from uuid import UUID

from chassis.broker.consumer import consumer
from chassis.identity import Principal
from chassis.outbox.envelope import EventEnvelope
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.workspaces.service import register_person


class RegisteredUser(BaseModel):
    """What this service reads of user.registered.v1."""

    id: UUID
    kind: str = "human"


class UserRegistered(BaseModel):
    resource: RegisteredUser


@consumer(queue="tasks.sign-ups", types=["user.registered.v1"])
async def on_user_registered(event: EventEnvelope, session: AsyncSession) -> None:
    """Make the new user's personal workspace; a first request may have been faster."""
    user = UserRegistered.model_validate(event.data).resource
    if user.kind == "human":
        await register_person(session, person=Principal(user_id=user.id, session_id=event.event_id))
