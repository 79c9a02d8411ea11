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

from auth_service.account_mail.rules import ABOUT_A_REQUEST, MailKind, token_place
from auth_service.account_mail.schemas import AccountMailResource
from auth_service.users.events import publish_resource

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
) -> UUID:
    """Ask for a mail in the caller's transaction, and return its id; a rollback sends nothing.

    It goes to the account's own address unless `to` says otherwise. `token`, of a link, leaves sealed with `ring` and
    in no other form. After `expires_at` the mail is not sent any more. `details` are what the text of this kind tells
    beside, such as a device; nothing in them may be secret.
    """
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
        expires_at=expires_at,
        details=dict(details or {}),
        address=request.client_address if kind in ABOUT_A_REQUEST else None,
        device=request.client_device if kind in ABOUT_A_REQUEST else None,
        requested_at=utcnow(),
    )
    await publish_resource(
        session,
        ACCOUNT_MAIL_REQUESTED,
        entity_type="account_mail",
        entity_id=mail_id,
        version=1,
        actor=None,
        audience=account["id"],
        resource=resource.model_dump(mode="json"),
    )
    return mail_id
