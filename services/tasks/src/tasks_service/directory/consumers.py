"""What auth tells of people and of service accounts."""

from uuid import UUID

from chassis.broker.consumer import consumer
from chassis.identity import Principal
from chassis.outbox.envelope import EventEnvelope
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.directory.schemas import ServiceAccountResource, UserResource
from tasks_service.directory.service import bury_person, note_person
from tasks_service.invitations.service import forget_person, tell_forgotten
from tasks_service.leaving.service import leave_everything

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
        if is_machine:
            await bury_person(session, user_id=user_id, kind="service")
        else:
            await _erase(session, Principal(user_id, event.event_id))
    elif is_machine:
        account = ServiceAccountChange.model_validate(event.data).resource
        await note_person(session, person=account.as_person())
    else:
        user = UserChange.model_validate(event.data).resource
        await note_person(session, person=user.as_person())


async def _erase(session: AsyncSession, person: Principal) -> None:
    """Leave a tombstone of a person, and end all memberships; the person's own workspace goes."""
    user_id = person.user_id
    address = await bury_person(session, user_id=user_id, kind="human")
    forgotten = await forget_person(session, user_id=user_id, address=address)
    await leave_everything(session, user_id=user_id, actor=person)
    await tell_forgotten(session, forgotten=forgotten, actor=person)
