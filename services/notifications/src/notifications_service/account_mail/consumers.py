"""Requests for mail, kept until they are sent; and the end of an account, which ends what is kept of it.

Mails are about accounts, or go to addresses that are invited by one.
"""

from chassis.broker.consumer import consumer
from chassis.broker.port import Queue
from chassis.outbox.envelope import EventEnvelope
from sqlalchemy.ext.asyncio import AsyncSession

from notifications_service.account_mail.schemas import MailRequested, UserDeletion
from notifications_service.account_mail.service import forget_mails, keep_mail

USER_DELETED = "user.deleted.v1"
REQUESTS = ("account_mail.requested.v1", "invitation_mail.requested.v1")
ACCOUNT_MAIL = Queue("notifications.account-mail", (*REQUESTS, USER_DELETED))


@consumer(queue=ACCOUNT_MAIL.name, types=ACCOUNT_MAIL.patterns)
async def on_account_mail(event: EventEnvelope, session: AsyncSession) -> None:
    if event.type == USER_DELETED:
        return await forget_mails(session, user_id=UserDeletion.model_validate(event.data).entity_id)
    return await keep_mail(session, mail=MailRequested.model_validate(event.data).resource)
