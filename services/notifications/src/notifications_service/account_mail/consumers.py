"""Requests for mail, kept until they are sent."""

from chassis.broker.consumer import consumer
from chassis.broker.port import Queue
from chassis.outbox.envelope import EventEnvelope
from sqlalchemy.ext.asyncio import AsyncSession

from notifications_service.account_mail.schemas import MailRequested
from notifications_service.account_mail.service import keep_mail

ACCOUNT_MAIL = Queue("notifications.account-mail", ("account_mail.requested.v1",))


@consumer(queue=ACCOUNT_MAIL.name, types=ACCOUNT_MAIL.patterns)
async def on_mail_requested(event: EventEnvelope, session: AsyncSession) -> None:
    await keep_mail(session, mail=MailRequested.model_validate(event.data).resource)
