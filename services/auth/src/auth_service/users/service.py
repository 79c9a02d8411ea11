"""Use cases of accounts."""

from typing import Any
from uuid import UUID

from chassis.addresses import EmailAddress, parse_email
from chassis.clock import utcnow
from chassis.errors import InvalidInput, Unauthenticated
from chassis.identity import Principal
from chassis.ids import uuid7
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from auth_service.audit import service as audit
from auth_service.audit.rules import AuditAction
from auth_service.credentials import service as credentials
from auth_service.mail_requests import service as mail_requests
from auth_service.mail_requests.rules import RequestKind
from auth_service.passwords import rules as passwords
from auth_service.passwords.service import PasswordHasher
from auth_service.users import repository
from auth_service.users.errors import EmailInvalid, EmailTaken, LastAdmin, ProfileVersionConflict
from auth_service.users.events import USER_UPDATED, user_changed, user_registered
from auth_service.users.schemas import ProfilePatch, Registration, UserOut


async def register(
    session: AsyncSession, *, wanted: Registration, primary: AsyncEngine, hasher: PasswordHasher, min_length: int
) -> RowMapping:
    """Make an account. Raises EmailInvalid, PasswordUnacceptable, PasswordBreached, InvalidInput or EmailTaken.

    The address is looked up on a connection of its own, so that none is held while the password is hashed. The link
    that confirms it is asked for, as somebody would who did not get it.
    """
    address = _checked_address(wanted, min_length)
    async with primary.connect() as connection:
        if await repository.find_by_email(connection, address.canonical) is not None:
            raise EmailTaken(field="email")
    password_hash = await hasher.hash(wanted.password)
    row = await create_account(session, address=address, display_name=wanted.display_name, password_hash=password_hash)
    if row is None:
        raise EmailTaken(field="email")
    await mail_requests.ask(session, RequestKind.VERIFY, address)
    return row


async def ask_to_register(
    session: AsyncSession, *, wanted: Registration, hasher: PasswordHasher, min_length: int
) -> None:
    """Note a registration, the same for every address: whether there is an account already, a mail tells its owner.

    Raises what `register` does, but not EmailTaken.
    """
    address = _checked_address(wanted, min_length)
    password_hash = await hasher.hash(wanted.password)
    await mail_requests.ask(
        session, RequestKind.REGISTER, address, display_name=wanted.display_name, password_hash=password_hash
    )


async def create_account(
    session: AsyncSession,
    *,
    address: EmailAddress,
    display_name: str,
    password_hash: str | None,
    proved: bool = False,
) -> RowMapping | None:
    """Make an account of a person, who has `proved` the address or not; None when it is taken."""
    now = utcnow()
    values = {
        "id": uuid7(),
        "email": address.display,
        "email_canonical": address.canonical,
        "email_verified_at": now if proved else None,
        "display_name": display_name,
        "timezone": "UTC",
        "locale": None,
        "roles": ["user"],
        "status": "active",
        "password_hash": password_hash,
        "version": 1,
        "created_at": now,
        "updated_at": now,
    }
    row = await repository.add(session, values)
    if row is not None:
        # What was tried on the address before it had an account is nothing that closes it.
        await credentials.forget_row(session, canonical_email=address.canonical)
        await user_registered(session, row)
        await audit.record(session, AuditAction.ACCOUNT_REGISTERED, subject_id=row["id"], actor_id=row["id"])
    return row


async def register_proven(session: AsyncSession, *, address: EmailAddress, display_name: str) -> RowMapping | None:
    """Make an account without a password for the proved owner of an address; None when somebody has it by now."""
    return await create_account(session, address=address, display_name=display_name, password_hash=None, proved=True)


def email_of(text: str) -> EmailAddress:
    """Return an address. Raises EmailInvalid."""
    address = parse_email(text)
    if address is None:
        raise EmailInvalid(field="email")
    return address


async def update_profile(
    session: AsyncSession, *, caller: Principal, patch: ProfilePatch, expected_version: int | None
) -> RowMapping:
    """Apply a merge patch to the own profile. Raises ProfileVersionConflict."""
    row = await repository.lock(session, caller.user_id)
    if row is None:
        raise Unauthenticated
    if expected_version not in (None, row["version"]):
        raise ProfileVersionConflict(data={"current": UserOut.of(row).model_dump(mode="json")})
    changed: dict[str, Any] = {name: new for name, new in patch.given().items() if row[name] != new}
    if not changed:
        return row
    values = {**changed, "updated_at": utcnow()}
    after = await repository.apply_changes(session, user_id=caller.user_id, values=values)
    changes = [{"field": name, "old": row[name], "new": changed[name]} for name in sorted(changed)]
    await user_changed(session, USER_UPDATED, after, actor=caller, changes=changes)
    details = {"fields": sorted(changed)}
    await audit.record(session, AuditAction.PROFILE_CHANGED, subject_id=caller.user_id, actor=caller, details=details)
    return after


async def hold_admins(session: AsyncSession, *, leaving: UUID | None = None) -> frozenset[UUID]:
    """Return the active administrators, none of whom ceases to be one until the transaction ends.

    To be called before the account of one of them is locked. Raises LastAdmin when without `leaving` there is none.
    """
    admins = await repository.lock_admins(session)
    if admins == {leaving}:
        raise LastAdmin
    return admins


def _checked_address(wanted: Registration, min_length: int) -> EmailAddress:
    """Return the address of a registration in which nothing is wrong; else raise all that is, at once."""
    address = parse_email(wanted.email)
    email = wanted.email if address is None else address.canonical
    bad_password = passwords.fault_of(wanted.password, min_length=min_length, email=email)
    if address is None:
        details = EmailInvalid(field="email").details
        raise InvalidInput(details=[*details, *(bad_password.details if bad_password else ())])
    if bad_password is not None:
        raise bad_password
    return address
