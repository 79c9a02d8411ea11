"""Choosing a new password: by a mailed link, or by the one so far; and proving the one so far."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from uuid import UUID

from chassis.addresses import EmailAddress
from chassis.clock import utcnow
from chassis.errors import Unauthenticated
from chassis.identity import Principal
from chassis.sealing import KeyRing
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from auth_service.account_mail.events import request_mail
from auth_service.account_mail.rules import MailKind
from auth_service.api_tokens import service as api_tokens
from auth_service.audit import service as audit
from auth_service.audit.rules import AuditAction
from auth_service.credentials import service as credentials
from auth_service.credentials.errors import InvalidCredentials
from auth_service.credentials.service import Attempt, Verdict
from auth_service.oidc import service as oidc
from auth_service.passkeys import service as passkeys
from auth_service.password_changes.errors import PasswordUnchanged, WrongPassword
from auth_service.passwords import rules
from auth_service.passwords.service import PasswordHasher
from auth_service.second_factors import service as factors
from auth_service.sessions import service as sessions
from auth_service.sessions.service import Lifetimes
from auth_service.users import repository as users
from auth_service.users.events import USER_UPDATED, user_changed
from auth_service.verification import service as verification
from auth_service.verification.errors import TooManyMails
from auth_service.verification.rules import LinkKind

NOTHING: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class NewPassword:
    """A new password that is acceptable: its hash, the link by which it comes, and the account as it was then."""

    link: RowMapping
    account: RowMapping
    hash: str


@dataclass(frozen=True, slots=True)
class Workshop:
    """What working on passwords needs: a place to read, a hasher, and the shortest length."""

    primary: AsyncEngine
    hasher: PasswordHasher
    min_length: int


async def prepare_reset(*, token: str, password: str, workshop: Workshop) -> NewPassword:
    """Look at a link and hash the new password, while no session is held.

    The password may be the one so far: to say so would tell it to whoever holds the link, which stays.
    Raises LinkTokenInvalid, PasswordUnacceptable or PasswordBreached.
    """
    oversized = rules.oversize_of(password, min_length=workshop.min_length)
    if oversized is not None:
        raise oversized
    async with workshop.primary.connect() as connection:
        link = await verification.find_link(connection, token, kinds=(LinkKind.RESET_PASSWORD,))
        account = await users.find(connection, link["account_id"])
    account = verification.usable(account)
    fault = rules.fault_of(password, min_length=workshop.min_length, email=account["email_canonical"])
    if fault is not None:
        raise fault
    return NewPassword(link, account, await workshop.hasher.hash(password))


async def reset_password(session: AsyncSession, *, new: NewPassword, lifetimes: Lifetimes, ring: KeyRing) -> None:
    """Use up the link: new password, no session, no other link, no failures counted, and a proved address.

    Where that is proved only now, no way in from before is left either.

    Raises LinkTokenInvalid.
    """
    await credentials.begin_anew(session, canonical_email=new.account["email_canonical"])
    link, account = new.link, await verification.use_link(session, new.link)
    was_proved = account["email_verified_at"] is not None
    proves = link["email_canonical"] == account["email_canonical"]
    proof = {"email_verified_at": utcnow()} if proves and not was_proved else {}
    dropped = {} if was_proved else await _drop_ways_in(session, account, credential_id=link["id"])
    after = await _set_password(session, account["id"], new.hash, **proof)
    await verification.void_links(session, account_id=account["id"])
    await sessions.end_sessions(session, user_id=account["id"], lifetimes=lifetimes)
    changes = [{"field": "email_verified", "old": False, "new": True}] if proof else []
    await user_changed(session, USER_UPDATED, after, actor=None, changes=changes)
    await audit.record(session, AuditAction.PASSWORD_RESET, subject_id=account["id"], actor_id=account["id"])
    await _tell(session, after, ring, dropped)


async def _drop_ways_in(session: AsyncSession, account: RowMapping, *, credential_id: UUID) -> Mapping[str, int]:
    """Remove all but the password by which somebody could come in, from an account whose address was never proved.

    Whoever opened it may have been a stranger who waited for the owner of the address to come (pre-hijacking).
    Return how many of what there were.
    """
    there = await _ways_in(session, account["id"])
    owner = Principal(account["id"], credential_id)
    await passkeys.remove_all(session, user_id=account["id"])
    await factors.remove_all(session, user_id=account["id"])
    await oidc.unlink_all(session, account_id=account["id"])
    await api_tokens.revoke_all_of(session, owner_id=account["id"], caller=owner)
    factors_there = {"second_factors": 1} if account["has_second_factor"] else {}
    return {f"{name}_removed": number for name, number in (there | factors_there).items()}


async def verify_own_password(*, caller: Principal, password: str, workshop: Workshop) -> Verdict:
    """Find out whether this is the caller's password, while no session is held. Raises TooManyFailures."""
    async with workshop.primary.connect() as connection:
        account = await users.find(connection, caller.user_id)
    if account is None or account["email"] is None:
        raise Unauthenticated
    attempt = Attempt(account["email"], password)
    return await credentials.verify_password(attempt=attempt, primary=workshop.primary, hasher=workshop.hasher)


async def verify_if_any(*, caller: Principal, password: str | None, workshop: Workshop) -> Verdict | None:
    """Do what `verify_own_password` does; None for an account that has no password, whatever is sent."""
    async with workshop.primary.connect() as connection:
        account = await users.find(connection, caller.user_id)
    if account is None:
        raise Unauthenticated
    if account["password_hash"] is None:
        return None
    return await verify_own_password(caller=caller, password=password or "", workshop=workshop)


async def _lock_proved(
    session: AsyncSession, caller: Principal, verdict: Verdict | None, *, action: AuditAction
) -> None:
    """Lock the caller's account, whose password is right, if it has one: also now, and the session has not ended.

    Raises WrongPassword, which counts as a failed login, TooManyFailures, or Unauthenticated.
    """
    if verdict is None:
        await sessions.lock_caller(session, caller)
        return
    try:
        _, counted = await credentials.accept_password(session, verdict, action=action, actor=caller)
        credentials.confirm_password(verdict, await sessions.lock_caller(session, caller))
    except InvalidCredentials:
        raise WrongPassword from None
    await credentials.forget_failures(session, verdict.origin, counted=counted)


async def prepare_change(*, caller: Principal, current: str, wanted: str, workshop: Workshop) -> tuple[Verdict, str]:
    """Look at both passwords and hash the new one, while no session is held.

    Raises PasswordUnacceptable, PasswordBreached, PasswordUnchanged or TooManyFailures.
    """
    async with workshop.primary.connect() as connection:
        account = await users.find(connection, caller.user_id)
    if account is None:
        raise Unauthenticated
    email = account["email_canonical"] or ""
    fault = rules.fault_of(wanted, min_length=workshop.min_length, email=email, field="new_password")
    if fault is None and rules.normalized(wanted) == rules.normalized(current):
        fault = PasswordUnchanged(field="new_password")
    if fault is not None:
        raise fault
    verdict = await verify_own_password(caller=caller, password=current, workshop=workshop)
    return verdict, await workshop.hasher.hash(wanted)


async def change_password(
    session: AsyncSession,
    *,
    caller: Principal,
    verdict: Verdict,
    new_hash: str,
    lifetimes: Lifetimes,
    ring: KeyRing,
) -> None:
    """Take the new password, and end all other sessions. Raises WrongPassword, TooManyFailures or Unauthenticated.

    Of two changes at once the second has proved a password that is none any more.
    """
    await _lock_proved(session, caller, verdict, action=AuditAction.PASSWORD_CHANGED)
    after = await _set_password(session, caller.user_id, new_hash)
    await verification.void_links(session, account_id=caller.user_id)
    await sessions.end_sessions(session, user_id=caller.user_id, lifetimes=lifetimes, keep=caller.session_id)
    await user_changed(session, USER_UPDATED, after, actor=caller)
    await audit.record(session, AuditAction.PASSWORD_CHANGED, subject_id=caller.user_id, actor=caller)
    await _tell(session, after, ring)


async def _tell(
    session: AsyncSession, account: RowMapping, ring: KeyRing, dropped: Mapping[str, int] = NOTHING
) -> None:
    """Tell the owner of a new password, and how many other ways in go on, or were removed: one may be a thief's."""
    ways = {f"{name}_in_force": number for name, number in (await _ways_in(session, account["id"])).items()}
    details = {name: str(number) for name, number in (ways | dict(dropped)).items() if number}
    await request_mail(session, ring=ring, kind=MailKind.PASSWORD_CHANGED, account=account, details=details)


async def _ways_in(session: AsyncSession, account_id: UUID) -> dict[str, int]:
    return {
        "api_tokens": await api_tokens.count_live(session, account_id=account_id),
        "passkeys": await passkeys.count(session, user_id=account_id),
        "identities": await oidc.count_identities(session, account_id=account_id),
    }


async def ask_for_email_change(
    session: AsyncSession, *, caller: Principal, verdict: Verdict | None, address: EmailAddress, ring: KeyRing
) -> None:
    """Mail a link to a new address, whoever else has it: that is found out when it is used.

    Raises WrongPassword, TooManyFailures, Unauthenticated or TooManyMails.
    """
    await _lock_proved(session, caller, verdict, action=AuditAction.EMAIL_CHANGE_REQUESTED)
    kind = LinkKind.CHANGE_EMAIL
    # Whoever asks again has mistyped the first address, whose mailbox has a link.
    await verification.void_links(session, account_id=caller.user_id, kinds=(kind,))
    sent = await verification.send_link(
        session,
        kind,
        account_id=caller.user_id,
        ring=ring,
        to=address,
        session_id=caller.session_id,
    )
    if not sent:
        wait = await verification.seconds_until_mail(session, kind, account_id=caller.user_id)
        raise TooManyMails(retry_after=wait)
    await audit.record(session, AuditAction.EMAIL_CHANGE_REQUESTED, subject_id=caller.user_id, actor=caller)


async def _set_password(session: AsyncSession, account_id: UUID, new_hash: str, **more: object) -> RowMapping:
    values = {"password_hash": new_hash, "password_reset_required": False, "updated_at": utcnow(), **more}
    return await users.apply_changes(session, user_id=account_id, values=values)
