"""Use cases of leaving: deactivate, delete, take back, and the end after the grace."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from chassis.clock import rfc3339, utcnow
from chassis.errors import Unauthenticated
from chassis.identity import Principal
from chassis.sealing import KeyRing
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from auth_service.account_mail.events import request_mail
from auth_service.account_mail.rules import MailKind
from auth_service.audit import service as audit
from auth_service.audit.rules import AuditAction
from auth_service.credentials import service as credentials
from auth_service.credentials.errors import InvalidCredentials
from auth_service.credentials.service import Attempt
from auth_service.leaving import repository
from auth_service.leaving.events import (
    USER_DEACTIVATED,
    USER_DELETED,
    USER_DELETION_SCHEDULED,
    USER_REACTIVATED,
)
from auth_service.leaving.rules import TOMBSTONE, End
from auth_service.passkeys.service import PasskeyTerms
from auth_service.passwords.service import PasswordHasher
from auth_service.proofs import service as proofs
from auth_service.proofs.service import GivenPasskey
from auth_service.second_factors.service import FactorTerms
from auth_service.sessions import service as sessions
from auth_service.sessions.service import Grant, SessionTerms
from auth_service.users import repository as users
from auth_service.users.errors import UserVersionConflict
from auth_service.users.events import user_changed
from auth_service.users.rules import ADMIN
from auth_service.users.schemas import UserOut
from auth_service.users.service import hold_admins

log = structlog.get_logger()

PUT_OFF = timedelta(hours=1)
"""How long an account that could not be deleted lets others go first."""


@dataclass(frozen=True, slots=True)
class LeavingTerms:
    """What holds for all who leave: how long a deletion can be taken back, and what seals mails."""

    sessions: SessionTerms
    grace: timedelta
    mail_ring: KeyRing
    factors: FactorTerms


async def deactivate(session: AsyncSession, *, caller: Principal, terms: LeavingTerms) -> RowMapping:
    """Close the caller's account until they come back. Raises LastAdmin."""
    row = await _leave(session, caller=caller, values={"status": "deactivated"}, terms=terms)
    await user_changed(session, USER_DEACTIVATED, row, actor=caller)
    await request_mail(session, ring=terms.mail_ring, kind=MailKind.ACCOUNT_DEACTIVATED, account=row)
    await audit.record(session, AuditAction.ACCOUNT_DEACTIVATED, subject_id=row["id"], actor=caller)
    return row


async def schedule_deletion(
    session: AsyncSession, *, caller: Principal, terms: LeavingTerms, expected_version: int | None = None
) -> RowMapping:
    """Close the caller's account, and delete it for good after the grace. Raises LastAdmin and UserVersionConflict."""
    values = {"status": "deleting", "deletes_at": utcnow() + terms.grace}
    row = await _leave(session, caller=caller, values=values, terms=terms, expected_version=expected_version)
    await user_changed(session, USER_DELETION_SCHEDULED, row, actor=caller)
    when = {"deletes_at": rfc3339(row["deletes_at"])}
    kind = MailKind.DELETION_SCHEDULED
    await request_mail(session, ring=terms.mail_ring, kind=kind, account=row, details=when)
    await audit.record(session, AuditAction.DELETION_REQUESTED, subject_id=row["id"], actor=caller, details=when)
    return row


async def reactivate(
    session: AsyncSession,
    *,
    attempt: Attempt,
    primary: AsyncEngine,
    hasher: PasswordHasher,
    terms: LeavingTerms,
    passkey: GivenPasskey | None,
    passkey_terms: PasskeyTerms,
) -> Grant:
    """Take an account back that its owner has left, and start a session. Raises what a login raises.

    A second factor is asked for first, as at a login; it has to come with the password here.
    """
    required = terms.sessions.verification_required
    verdict = await credentials.verify_password(
        attempt=attempt, primary=primary, hasher=hasher, verification_required=required
    )
    found, counted = await credentials.accept_password(session, verdict)
    account = await users.lock(session, found["id"])
    if account is None:
        raise InvalidCredentials
    returns = await _may_return(session, account, terms)
    credentials.confirm_password(verdict, account)
    proof = await proofs.prove_second_factor(
        session,
        account=account,
        otp=attempt.otp,
        passkey=passkey,
        factor_terms=terms.factors,
        passkey_terms=passkey_terms,
    )
    await credentials.forget_failures(session, verdict.origin, counted=counted)
    if returns:
        account = await _take_back(session, account_id=account["id"], terms=terms)
    return await sessions.start_session(session, account=account, proof=proof, terms=terms.sessions)


async def _may_return(session: AsyncSession, row: RowMapping, terms: LeavingTerms) -> bool:
    """Tell whether the owner has left this account.

    Raises InvalidCredentials when its time has come: it is as good as deleted; and what else stands against a session,
    which its owner could not learn otherwise.
    """
    has_left = row["status"] in {"deactivated", "deleting"}
    if has_left and row["deletes_at"] is not None and row["deletes_at"] <= utcnow():
        raise InvalidCredentials
    opened = {**row, "status": "active"} if has_left else row
    await sessions.check_account(session, account=opened, proof=proofs.PASSWORD, terms=terms.sessions)
    return has_left


async def _take_back(session: AsyncSession, *, account_id: UUID, terms: LeavingTerms) -> RowMapping:
    """Open an account again, and return it."""
    values = {"status": "active", "deletes_at": None, "updated_at": utcnow()}
    after = await users.apply_changes(session, user_id=account_id, values=values)
    await user_changed(session, USER_REACTIVATED, after, actor=None)
    await request_mail(session, ring=terms.mail_ring, kind=MailKind.ACCOUNT_REACTIVATED, account=after)
    await audit.record(session, AuditAction.ACCOUNT_REACTIVATED, subject_id=account_id, actor_id=account_id)
    return after


async def finish_deletion(session: AsyncSession, *, mail_ring: KeyRing, end: End = End.OF_GRACE) -> bool:
    """Delete one account whose time has come, or a part of what there is of it; tell whether there was one.

    One that can't be deleted now is put off, so that it keeps no other from its end.
    """
    due = await repository.find_due(session, end, now=utcnow())
    if due is None:
        return False
    try:
        async with session.begin_nested():
            return await _finish(session, due, mail_ring, end)
    except Exception:
        log.exception("deletion.put_off", account_id=str(due["id"]))
        await repository.put_off(session, due["id"], until=utcnow() + PUT_OFF)
        return True


async def _finish(session: AsyncSession, due: RowMapping, mail_ring: KeyRing, end: End) -> bool:
    """Leave a tombstone of an account; return False when somebody else has it now.

    What is noted of failed logins goes first, as logins take it before the account. The last mail is asked for with the
    same commit; it and all other events about the account are deleted once they have left, see
    `repository.forget_events`.
    """
    if due["email_canonical"] is not None:
        await credentials.begin_anew(session, canonical_email=due["email_canonical"])
    row = await repository.lock_due(session, due["id"], end, now=utcnow())
    if row is None:
        return False
    if await repository.blank_audit(session, row["id"]):
        return True
    if row["email"] is not None and end is End.OF_GRACE:
        await request_mail(session, ring=mail_ring, kind=MailKind.ACCOUNT_DELETED, account=row)
    await repository.erase(session, row)
    tomb = await users.apply_changes(session, user_id=row["id"], values={**TOMBSTONE, "updated_at": utcnow()})
    await user_changed(session, USER_DELETED, tomb, actor=None)
    await audit.record(session, AuditAction.ACCOUNT_DELETED, subject_id=row["id"])
    return True


async def _leave(
    session: AsyncSession,
    *,
    caller: Principal,
    values: Mapping[str, Any],
    terms: LeavingTerms,
    expected_version: int | None = None,
) -> RowMapping:
    """Close the caller's account, and end its sessions. Raises LastAdmin, UserVersionConflict or Unauthenticated."""
    row = await _lock(session, caller)
    if expected_version not in (None, row["version"]):
        raise UserVersionConflict(data={"current": UserOut.of(row).model_dump(mode="json")})
    after = await users.apply_changes(session, user_id=row["id"], values={**values, "updated_at": utcnow()})
    await sessions.end_sessions(session, user_id=row["id"], lifetimes=terms.sessions.lifetimes)
    return after


async def _lock(session: AsyncSession, caller: Principal) -> RowMapping:
    """Return the caller's account, locked, with the other administrators held before it if it is one. Raises LastAdmin.

    Raises Unauthenticated when the session has ended, or the account is closed or became an administrator's meanwhile:
    no access token of before counts any more.
    """
    found = await users.find(session, caller.user_id)
    is_admin = found is not None and ADMIN in found["roles"]
    if is_admin:
        await hold_admins(session, leaving=caller.user_id)
    row = await sessions.lock_caller(session, caller)
    if row["status"] != "active" or (ADMIN in row["roles"] and not is_admin):
        raise Unauthenticated
    return row
