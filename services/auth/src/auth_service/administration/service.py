"""Use cases of administrators: disable, enable, force a new password, change roles, and vouch for an address."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chassis.addresses import parse_email
from chassis.clock import utcnow
from chassis.identity import Principal
from chassis.sealing import KeyRing
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from auth_service.account_mail.events import request_mail
from auth_service.account_mail.rules import MailKind
from auth_service.administration import repository
from auth_service.administration.errors import AdministratorsOnly, NotAPerson, OwnAccount, UserNotFound
from auth_service.administration.events import USER_DISABLED, USER_ENABLED, USER_ROLES_CHANGED
from auth_service.audit import service as audit
from auth_service.audit.rules import AuditAction
from auth_service.leaving.events import USER_DELETED
from auth_service.revocations import service as revocations
from auth_service.service_accounts.events import service_account_updated
from auth_service.sessions import service as sessions
from auth_service.sessions.service import Lifetimes
from auth_service.users import repository as users
from auth_service.users.errors import LastAdmin, UserVersionConflict
from auth_service.users.events import USER_UPDATED, user_changed
from auth_service.users.rules import ADMIN, USER
from auth_service.users.schemas import UserOut
from auth_service.users.service import hold_admins
from auth_service.verification import service as verification
from auth_service.verification.rules import LinkKind


@dataclass(frozen=True, slots=True)
class AdministrationTerms:
    """What holds for all that administrators do."""

    lifetimes: Lifetimes
    mail_ring: KeyRing


TOLD_AT_ONCE = 500


async def tell_people(session: AsyncSession, *, after: UUID) -> UUID | None:
    """Tell again how the next accounts of people are, for services that began to listen later; None at the end.

    Nothing of them changes, so whoever knows their versions learns nothing.
    """
    rows = await repository.people_after(session, after, limit=TOLD_AT_ONCE)
    for row in rows:
        event_type = USER_DELETED if row["status"] == "deleted" else USER_UPDATED
        await user_changed(session, event_type, row, actor=None)
    return rows[-1]["id"] if rows else None


async def tell_service_accounts(session: AsyncSession, *, after: UUID) -> UUID | None:
    """Do the same for service accounts."""
    rows = await repository.service_accounts_after(session, after, limit=TOLD_AT_ONCE)
    for row in rows:
        await service_account_updated(session, row, by=row["created_by"])
    return rows[-1]["account_id"] if rows else None


async def disable(
    session: AsyncSession, *, caller: Principal, user_id: UUID, reason: str | None, terms: AdministrationTerms
) -> RowMapping:
    """Lock somebody out, with all sessions and API tokens. Raises OwnAccount and UserNotFound."""
    if user_id == caller.user_id:
        raise OwnAccount
    row = await _lock(session, user_id, caller=caller)
    if row["status"] == "disabled":
        return row
    after = await _change(session, row, {"status": "disabled", "status_before": row["status"]})
    await sessions.end_sessions(session, user_id=user_id, lifetimes=terms.lifetimes)
    await verification.void_links(session, account_id=user_id)
    await user_changed(session, USER_DISABLED, after, actor=caller)
    await request_mail(session, ring=terms.mail_ring, kind=MailKind.ACCOUNT_DISABLED, account=after)
    details = {} if reason is None else {"reason": reason}
    await audit.record(session, AuditAction.ACCOUNT_DISABLED, subject_id=user_id, actor=caller, details=details)
    return after


async def enable(session: AsyncSession, *, caller: Principal, user_id: UUID, terms: AdministrationTerms) -> RowMapping:
    """Make a disabled account what it was; one that its owner has left stays so. Raises UserNotFound."""
    row = await _lock(session, user_id, caller=caller)
    if row["status"] != "disabled":
        return row
    # One that was disabled by an older release does not know.
    status = row["status_before"] or ("active" if row["deletes_at"] is None else "deleting")
    after = await _change(session, row, {"status": status, "status_before": None})
    await user_changed(session, USER_ENABLED, after, actor=caller)
    await request_mail(session, ring=terms.mail_ring, kind=MailKind.ACCOUNT_ENABLED, account=after)
    await audit.record(session, AuditAction.ACCOUNT_ENABLED, subject_id=user_id, actor=caller)
    return after


async def force_password_reset(
    session: AsyncSession, *, caller: Principal, user_id: UUID, terms: AdministrationTerms
) -> RowMapping:
    """End all sessions of somebody, who comes in again with a new password only, and mail the link for it.

    Raises UserNotFound and NotAPerson.
    """
    row = await _lock(session, user_id, caller=caller)
    if row["kind"] != "human":
        raise NotAPerson
    if row["password_reset_required"]:
        return row
    after = await _change(session, row, {"password_reset_required": True})
    await sessions.end_sessions(session, user_id=user_id, lifetimes=terms.lifetimes)
    change = {"field": "password_reset_required", "old": False, "new": True}
    await user_changed(session, USER_UPDATED, after, actor=caller, changes=[change])
    await verification.void_links(session, account_id=user_id)
    await verification.send_link(
        session,
        LinkKind.RESET_PASSWORD,
        account_id=user_id,
        ring=terms.mail_ring,
        beyond_budget=True,
        mail=MailKind.RESET_PASSWORD_FORCED,
    )
    await audit.record(session, AuditAction.PASSWORD_RESET_FORCED, subject_id=user_id, actor=caller)
    return after


async def set_roles(
    session: AsyncSession,
    *,
    caller: Principal | None,
    user_id: UUID,
    roles: Collection[str],
    terms: AdministrationTerms,
    expected_version: int | None = None,
) -> RowMapping:
    """Give somebody these roles in the instance. Raises UserNotFound, NotAPerson, UserVersionConflict and LastAdmin.

    Sessions stay; access tokens that were issued before say something else now, so they stop working. `caller` is
    None for whoever has a shell on the server.
    """
    wanted = [USER, *([ADMIN] if ADMIN in roles else [])]
    row = await _lock(session, user_id, caller=caller, leaving=ADMIN not in wanted)
    if row["kind"] != "human":
        raise NotAPerson
    if expected_version not in (None, row["version"]):
        raise UserVersionConflict(data={"current": UserOut.of(row).model_dump(mode="json")})
    if list(row["roles"]) == wanted:
        return row
    after = await _change(session, row, {"roles": wanted})
    if await repository.has_credentials(session, user_id):
        now = utcnow()
        await revocations.revoke_user(
            session, user_id, now=now, expires_at=now + terms.lifetimes.access, including_this_second=True
        )
    change = {"field": "roles", "old": row["roles"], "new": wanted}
    await user_changed(session, USER_ROLES_CHANGED, after, actor=caller, changes=[change])
    told = {"roles": ", ".join(wanted)}
    await request_mail(session, ring=terms.mail_ring, kind=MailKind.ROLE_CHANGED, account=after, details=told)
    details = {"old": row["roles"], "new": wanted}
    await audit.record(session, AuditAction.ROLES_CHANGED, subject_id=user_id, actor=caller, details=details)
    return after


async def set_admin(session: AsyncSession, *, email: str, is_admin: bool, terms: AdministrationTerms) -> RowMapping:
    """Make somebody an administrator, or one no more; for whoever has a shell on the server.

    Raises UserNotFound for an address that nobody has, and LastAdmin.
    """
    found = await _of_address(session, email)
    roles = [USER, ADMIN] if is_admin else [USER]
    return await set_roles(session, caller=None, user_id=found["id"], roles=roles, terms=terms)


async def confirm_email(session: AsyncSession, *, email: str) -> RowMapping:
    """Take an address as its account's, without a mail; for whoever has a shell on the server. Raises UserNotFound."""
    found = await _of_address(session, email)
    row = await users.lock(session, found["id"])
    if row is None or row["email_canonical"] != found["email_canonical"]:
        raise UserNotFound
    return await verification.note_proof(session, row, by=None)


async def _of_address(session: AsyncSession, email: str) -> RowMapping:
    """Return the account of an address. Raises UserNotFound."""
    address = parse_email(email)
    found = None if address is None else await users.find_by_email(await session.connection(), address.canonical)
    if found is None:
        raise UserNotFound
    return found


async def _lock(session: AsyncSession, user_id: UUID, *, caller: Principal | None, leaving: bool = False) -> RowMapping:
    """Return an account, which nobody else changes now. Raises UserNotFound, AdministratorsOnly and LastAdmin.

    The administrators are held first: of two who turn against each other at once, the second is none any more.
    """
    admins = await hold_admins(session)
    if caller is not None and caller.user_id not in admins:
        raise AdministratorsOnly
    if leaving and admins == {user_id}:
        raise LastAdmin
    row = await users.lock(session, user_id)
    if row is None or row["status"] == "deleted":
        raise UserNotFound
    return row


async def _change(session: AsyncSession, row: RowMapping, values: Mapping[str, Any]) -> RowMapping:
    return await users.apply_changes(session, user_id=row["id"], values={**values, "updated_at": utcnow()})
