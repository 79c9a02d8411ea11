"""Use cases of mails to send."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from chassis.clock import utcnow
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from notifications_service.account_mail import repository
from notifications_service.account_mail.rules import FAILED, FAREWELL, SENT, WAITING
from notifications_service.account_mail.schemas import AccountMail

CHANNEL = repository.CHANNEL


async def keep_mail(session: AsyncSession, *, mail: AccountMail) -> None:
    """Note down a mail to send; the same one again changes nothing. Who is deleted gets none but the last one."""
    await repository.hold_user(session, mail.user_id)
    if mail.kind != FAREWELL and await repository.is_deleted(session, mail.user_id):
        return
    values = mail.model_dump(exclude={"to", "address", "device", "details"})
    origin = {"address": mail.address, "device": mail.device}
    details = {**{name: value for name, value in origin.items() if value is not None}, **mail.details}
    start = {"recipient": mail.to, "details": details, "state": WAITING, "attempts": 0, "claim": 0}
    await repository.add(session, {**values, **start})


async def forget_mails(session: AsyncSession, *, user_id: UUID) -> None:
    """Forget all mails of somebody who is gone, those that are asked for later, too, but for the one that says so."""
    await repository.hold_user(session, user_id)
    await repository.forget(session, user_id)


async def expire_mails(session: AsyncSession) -> Sequence[RowMapping]:
    """Give up mails that are of no use any more; return their ids and kinds."""
    return await repository.expire(session)


async def claim_mails(session: AsyncSession, *, limit: int) -> Sequence[RowMapping]:
    """Take mails to send; they are the caller's for 60 seconds."""
    return await repository.claim(session, limit=limit)


async def note_sent(session: AsyncSession, *, mail_id: UUID, claim: int) -> bool:
    """Note that a mail was taken by the server; False when the claim was lost meanwhile."""
    return await _close(session, mail_id, claim, state=SENT, reason=None)


async def note_failed(session: AsyncSession, *, mail_id: UUID, claim: int, reason: str) -> bool:
    """Note that a mail will never be sent; False when the claim was lost meanwhile."""
    return await _close(session, mail_id, claim, state=FAILED, reason=reason)


async def note_postponed(session: AsyncSession, *, mail_id: UUID, claim: int, delay: timedelta, reason: str) -> bool:
    """Note that a mail is to be tried again; False when the claim was lost meanwhile."""
    values = {"next_attempt_at": utcnow() + delay, "reason": reason}
    return await repository.settle(session, mail_id=mail_id, claim=claim, values=values)


async def _close(session: AsyncSession, mail_id: UUID, claim: int, **values: Any) -> bool:
    return await repository.close(session, mail_id=mail_id, claim=claim, values={**values, "settled_at": utcnow()})
