"""Requests for mail: another service sends it, this one says what and to whom."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from chassis.clock import utcnow
from chassis.context import current_request
from chassis.ids import uuid7
from chassis.sealing import KeyRing
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from auth_service.account_mail.rules import (
    ABOUT_A_REQUEST,
    ALWAYS_SENT,
    ASKED_BY_ADDRESS,
    NOTICE_LIFE,
    NOTICES,
    NOTICES_PER_HOUR,
    TO_ANY_ADDRESS,
    MailKind,
    token_place,
)
from auth_service.account_mail.schemas import AccountMailResource
from auth_service.users.events import event_of, publish_events
from auth_service.verification import repository as budgets

ACCOUNT_MAIL_REQUESTED = "account_mail.requested.v1"


async def request_mail(
    session: AsyncSession,
    *,
    ring: KeyRing,
    kind: MailKind,
    account: RowMapping,
    to: str | None = None,
    token: str | None = None,
    expires_at: datetime | None = None,
    details: Mapping[str, str] | None = None,
) -> UUID | None:
    """Ask for a mail in the caller's transaction, and return its id; a rollback sends nothing.

    It goes to the account's own address unless `to` says otherwise. `token`, of a link, leaves sealed with `ring` and
    in no other form. After `expires_at`, in a week when it is None, the mail is not sent any more. `details` are what
    the text of this kind tells beside, such as a device; nothing in them may be secret.

    Return None, and ask for nothing, when it is a notice that the account may not have. Anybody can sign up with a
    stranger's address, so one that was never confirmed is only told of a new password and of the account's end. Of
    notices an account has 20 an hour. Of its end it is told in any case, and at a confirmed address of a session's
    copy, a new password and a new address. The caller has locked the account, or waits for no lock after this.
    """
    now = utcnow()
    if not await _may_have(session, kind, account, now):
        return None
    mail_id, request = uuid7(), current_request()
    resource = AccountMailResource(
        id=mail_id,
        user_id=account["id"],
        kind=kind,
        to=account["email"] if to is None else to,
        display_name=account["display_name"],
        locale=account["locale"],
        timezone=account["timezone"],
        token_sealed=None if token is None else ring.seal(token.encode(), place=token_place(mail_id)),
        expires_at=now + NOTICE_LIFE if expires_at is None else expires_at,
        details=dict(details or {}),
        address=request.client_address if kind in ABOUT_A_REQUEST else None,
        device=request.client_device if kind in ABOUT_A_REQUEST else None,
        requested_at=now,
    )
    event = event_of(
        ACCOUNT_MAIL_REQUESTED,
        entity_type="account_mail",
        entity_id=mail_id,
        version=1,
        actor=None,
        audience=account["id"],
        resource=resource.model_dump(mode="json"),
    )
    await publish_events(session, event)
    return mail_id


async def _may_have(session: AsyncSession, kind: MailKind, account: RowMapping, now: datetime) -> bool:
    """Tell whether a mail may be asked for, and count it if it is a notice."""
    if kind in ASKED_BY_ADDRESS:
        return True
    is_confirmed = account["email_verified_at"] is not None
    if not is_confirmed and kind not in TO_ANY_ADDRESS:
        return False
    if kind is MailKind.ACCOUNT_DELETED or (is_confirmed and kind in ALWAYS_SENT):
        return True
    return await budgets.take_from_budget(
        session, account["id"], NOTICES, now=now, most=NOTICES_PER_HOUR, interval=None
    )
