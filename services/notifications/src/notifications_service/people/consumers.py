"""What auth tells of people and of service accounts."""

from chassis.broker.consumer import consumer
from chassis.broker.port import Queue
from chassis.outbox.envelope import EventEnvelope
from sqlalchemy.ext.asyncio import AsyncSession

from notifications_service.chat.service import forget_connections
from notifications_service.devices.service import forget_devices
from notifications_service.digests.service import forget_digests
from notifications_service.emails.service import forget_channel
from notifications_service.inbox.service import forget_notifications
from notifications_service.live.service import forget_stream
from notifications_service.people.rules import HUMAN, SERVICE
from notifications_service.people.schemas import Deletion, ServiceAccountChange, UserChange
from notifications_service.people.service import bury_person, note_person
from notifications_service.preferences.service import follow_zone, forget_preferences
from notifications_service.recording.service import forget_messages
from notifications_service.webhooks.service import forget_webhooks

USER_DELETED = "user.deleted.v1"
SERVICE_ACCOUNT_DELETED = "service_account.deleted.v1"
OF_PROGRAMS = "service_account."
PEOPLE = Queue("notifications.people", ("user.*.v1", "service_account.*.v1"))


@consumer(queue=PEOPLE.name, types=PEOPLE.patterns)
async def on_person(event: EventEnvelope, session: AsyncSession) -> None:
    """Keep who there is: the newest state counts, in whatever order events come, and an end is final."""
    is_program = event.type.startswith(OF_PROGRAMS)
    if event.type in {USER_DELETED, SERVICE_ACCOUNT_DELETED}:
        user_id = Deletion.model_validate(event.data).entity_id
        await bury_person(session, user_id=user_id, kind=SERVICE if is_program else HUMAN)
        await forget_preferences(session, user_id=user_id)
        await forget_digests(session, user_id=user_id)
        await forget_channel(session, user_id=user_id)
        await forget_notifications(session, user_id=user_id)
        await forget_stream(session, user_id=user_id)
        await forget_devices(session, user_id=user_id)
        await forget_connections(session, user_id=user_id)
        await forget_messages(session, user_id=user_id)
        await forget_webhooks(session, user_id=user_id)
    elif is_program:
        account = ServiceAccountChange.model_validate(event.data).resource
        await note_person(session, person=account.as_person())
    else:
        user = UserChange.model_validate(event.data).resource
        if await note_person(session, person=user.as_person()):
            await follow_zone(session, user_id=user.id)
