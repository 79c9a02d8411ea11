"""Links that are mailed, and what confirming an address does."""

import math
from collections.abc import Collection
from typing import TypeGuard
from uuid import UUID

from chassis.addresses import EmailAddress
from chassis.clock import utcnow
from chassis.ids import uuid7
from chassis.sealing import KeyRing
from chassis.secret_tokens import token_digest
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from auth_service.account_mail.events import request_mail
from auth_service.account_mail.rules import MailKind
from auth_service.audit import service as audit
from auth_service.audit.rules import AuditAction
from auth_service.credentials import service as credentials
from auth_service.sessions import service as sessions
from auth_service.sessions.service import Lifetimes
from auth_service.users import repository as users
from auth_service.users.errors import EmailTaken
from auth_service.users.events import USER_UPDATED, user_changed
from auth_service.verification import repository
from auth_service.verification.errors import LinkTokenInvalid
from auth_service.verification.rules import LIFETIMES, MAIL_OF, USABLE_STATUSES, LinkKind, new_token

ALL_KINDS = tuple(LinkKind)
OF_ADDRESSES = (LinkKind.VERIFY_EMAIL, LinkKind.CHANGE_EMAIL)


async def send_link(
    session: AsyncSession,
    kind: LinkKind,
    *,
    account_id: UUID,
    ring: KeyRing,
    to: EmailAddress | None = None,
    session_id: UUID | None = None,
    beyond_budget: bool = False,
    mail: MailKind | None = None,
) -> bool:
    """Mail a link, to the account's own address unless `to` says otherwise; older ones of its kind work no more.

    Return False when there was none to send: the account can't be used, or has had as many mails as it may have, and
    this one is not `beyond_budget`. `session_id` is the session that asked: the link works no longer than it lasts, and
    a change of address does not end it. `mail` is another mail for the link than the usual one.
    """
    account = await users.lock(session, account_id)
    if not _is_usable(account):
        return False
    now = utcnow()
    has_budget = await repository.take_from_budget(session, account_id, MAIL_OF[kind].value, now=now)
    if not has_budget and not beyond_budget:
        return False
    await repository.void(session, account_id, kinds=(kind,), now=now)
    token, expires_at = new_token(), now + LIFETIMES[kind]
    address = to or EmailAddress(account["email"], account["email_canonical"])
    values = {
        "id": uuid7(),
        "account_id": account_id,
        "kind": kind.value,
        "hash": token_digest(token),
        "email": address.display,
        "email_canonical": address.canonical,
        "session_id": session_id,
        "created_at": now,
        "expires_at": expires_at,
        "used_at": None,
    }
    await repository.add(session, values)
    await request_mail(
        session,
        ring=ring,
        kind=mail or MAIL_OF[kind],
        account=account,
        to=address.display,
        token=token,
        expires_at=expires_at,
    )
    return True


async def seconds_until_mail(session: AsyncSession, kind: LinkKind, *, account_id: UUID) -> int:
    """Return how long an account has to wait, in seconds, before `send_link` sends a link of this kind again."""
    free_at = await repository.free_at(session, account_id, MAIL_OF[kind].value)
    return 1 if free_at is None else max(1, math.ceil((free_at - utcnow()).total_seconds()))


async def send_notice(session: AsyncSession, kind: MailKind, *, account: RowMapping, ring: KeyRing) -> None:
    """Mail something without a link that others can bring on, unless the account had as many as it may have."""
    if await repository.take_from_budget(session, account["id"], kind.value, now=utcnow()):
        await request_mail(session, ring=ring, kind=kind, account=account)


async def find_link(reader: AsyncSession | AsyncConnection, token: str, *, kinds: Collection[LinkKind]) -> RowMapping:
    """Return a link that is in force, without using it. Raises LinkTokenInvalid."""
    found = await repository.find(reader, token_digest(token), kinds=kinds, now=utcnow())
    if found is None:
        raise LinkTokenInvalid(field="token")
    return found


async def use_link(session: AsyncSession, link: RowMapping) -> RowMapping:
    """Use up a link that `find_link` has found, and return its account, which is locked. Raises LinkTokenInvalid.

    The account is locked before any of its links, here and wherever links change, so that nobody waits in a circle.
    """
    account = await users.lock(session, link["account_id"])
    is_used = await repository.use(session, link["id"], now=utcnow())
    if not is_used:
        raise LinkTokenInvalid(field="token")
    return usable(account)


async def void_links(session: AsyncSession, *, account_id: UUID, kinds: Collection[LinkKind] = ALL_KINDS) -> None:
    """Make the links useless that were mailed to an account, perhaps only those of some kinds."""
    await repository.void(session, account_id, kinds=tuple(kinds), now=utcnow())


async def confirm_email(session: AsyncSession, *, token: str, lifetimes: Lifetimes, ring: KeyRing) -> RowMapping:
    """Take a mailed link as the proof of an address, and return the account. Raises LinkTokenInvalid or EmailTaken."""
    link = await find_link(session, token, kinds=OF_ADDRESSES)
    if link["kind"] == LinkKind.CHANGE_EMAIL:
        return await _change_email(session, link, lifetimes, ring)
    account = await use_link(session, link)
    if link["email_canonical"] != account["email_canonical"]:
        raise LinkTokenInvalid(field="token")
    return await note_proof(session, account, by=account["id"])


async def note_proof(session: AsyncSession, account: RowMapping, *, by: UUID | None) -> RowMapping:
    """Note that the address of a locked account is its owner's, and return the account.

    `by` is who has proved it: None for whoever has a shell on the server.
    """
    if account["email_verified_at"] is not None:
        return account
    now = utcnow()
    after = await users.apply_changes(
        session, user_id=account["id"], values={"email_verified_at": now, "updated_at": now}
    )
    changes = [{"field": "email_verified", "old": False, "new": True}]
    await user_changed(session, USER_UPDATED, after, actor=None, changes=changes)
    await audit.record(session, AuditAction.EMAIL_VERIFIED, subject_id=after["id"], actor_id=by)
    return after


async def _change_email(session: AsyncSession, link: RowMapping, lifetimes: Lifetimes, ring: KeyRing) -> RowMapping:
    """Swap the address, tell the old one, and end all sessions but the one that asked for it."""
    await _forget_failures(session, link)
    account = await use_link(session, link)
    address = EmailAddress(link["email"], link["email_canonical"])
    after = await users.change_email(session, user_id=account["id"], address=address, now=utcnow())
    if after is None:
        raise EmailTaken
    await void_links(session, account_id=account["id"])
    await sessions.end_sessions(session, user_id=account["id"], lifetimes=lifetimes, keep=link["session_id"])
    changes = [{"field": "email", "old": account["email"], "new": after["email"]}]
    await user_changed(session, USER_UPDATED, after, actor=None, changes=changes)
    await audit.record(session, AuditAction.EMAIL_CHANGED, subject_id=after["id"], actor_id=after["id"])
    await request_mail(session, ring=ring, kind=MailKind.EMAIL_CHANGED, account=account)
    return after


async def _forget_failures(session: AsyncSession, link: RowMapping) -> None:
    """Forget what closed either address of a change: one is nobody's after it, the other was nobody's.

    Before the account is locked, as at a login: failures, then account.
    """
    account = await users.find(session, link["account_id"])
    if account is not None and account["email_canonical"] is not None:
        for canonical in sorted({account["email_canonical"], link["email_canonical"]}):
            await credentials.forget_row(session, canonical_email=canonical)


def usable(account: RowMapping | None) -> RowMapping:
    """Return the account of a link. Raises LinkTokenInvalid when it is none that its owner may use, or take back."""
    if not _is_usable(account):
        raise LinkTokenInvalid(field="token")
    return account


def _is_usable(account: RowMapping | None) -> TypeGuard[RowMapping]:
    return account is not None and account["kind"] == "human" and account["status"] in USABLE_STATUSES
