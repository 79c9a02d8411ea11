"""What auth tells of people and of service accounts."""

from uuid import UUID

from chassis.broker.consumer import consumer
from chassis.outbox.envelope import EventEnvelope
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.directory.schemas import ServiceAccountResource, UserResource
from tasks_service.directory.service import bury_person, note_person

USER_DELETED = "user.deleted.v1"
SERVICE_ACCOUNT_DELETED = "service_account.deleted.v1"
SERVICE_ACCOUNT = "service_account"


class Deletion(BaseModel):
    """Of somebody who is gone only the id matters."""

    entity_id: UUID


class UserChange(BaseModel):
    resource: UserResource


class ServiceAccountChange(BaseModel):
    resource: ServiceAccountResource


@consumer(queue="tasks.directory", types=["user.*.v1", "service_account.*.v1"])
async def on_person(event: EventEnvelope, session: AsyncSession) -> None:
    """Keep the directory: the newest state counts, in whatever order events come, and an end is final."""
    is_machine = event.type.startswith(SERVICE_ACCOUNT)
    if event.type in {USER_DELETED, SERVICE_ACCOUNT_DELETED}:
        user_id = Deletion.model_validate(event.data).entity_id
        await bury_person(session, user_id=user_id, kind="service" if is_machine else "human")
    elif is_machine:
        account = ServiceAccountChange.model_validate(event.data).resource
        await note_person(session, person=account.as_person())
    else:
        user = UserChange.model_validate(event.data).resource
        await note_person(session, person=user.as_person())
