"""Use cases of accounts."""

from typing import Any
from uuid import UUID

from chassis.clock import utcnow
from chassis.errors import Unauthenticated
from chassis.ids import uuid7
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from auth_service.passwords import rules as passwords
from auth_service.passwords.service import PasswordHasher
from auth_service.users import repository
from auth_service.users.errors import EmailInvalid, EmailTaken, ProfileVersionConflict
from auth_service.users.events import user_registered
from auth_service.users.rules import parse_email
from auth_service.users.schemas import ProfilePatch, Registration, UserOut

ATTEMPTS = 5


async def register(
    session: AsyncSession, *, wanted: Registration, reader: AsyncEngine, hasher: PasswordHasher, min_length: int
) -> RowMapping:
    """Make an account. Raises EmailInvalid, EmailTaken, PasswordUnacceptable or PasswordBreached.

    The address is looked up on a connection of its own, so that none is held while the password is hashed.
    """
    address = parse_email(wanted.email)
    if address is None:
        raise EmailInvalid(field="email")
    password = passwords.check(wanted.password, min_length=min_length, email=address.canonical)
    async with reader.connect() as connection:
        if await repository.find_by_email(connection, address.canonical) is not None:
            raise EmailTaken(field="email")
    now = utcnow()
    values = {
        "id": uuid7(),
        "email": address.display,
        "email_canonical": address.canonical,
        "display_name": wanted.display_name,
        "timezone": "UTC",
        "locale": None,
        "roles": ["user"],
        "password_hash": await hasher.hash(password),
        "version": 1,
        "created_at": now,
        "updated_at": now,
    }
    row = await repository.add(session, values)
    if row is None:
        raise EmailTaken(field="email")
    await user_registered(session, row)
    return row


async def update_profile(
    session: AsyncSession, *, user_id: UUID, patch: ProfilePatch, expected_version: int | None
) -> RowMapping:
    """Apply a merge patch to the own profile. Raises ProfileVersionConflict."""
    for _ in range(ATTEMPTS):
        row = await repository.find(session, user_id)
        if row is None:
            raise Unauthenticated
        if expected_version not in (None, row["version"]):
            raise _stale(row)
        changed: dict[str, Any] = {name: new for name, new in patch.given().items() if row[name] != new}
        if not changed:
            return row
        updated = await repository.apply_changes(
            session, user_id=user_id, expected_version=row["version"], values={**changed, "updated_at": utcnow()}
        )
        if updated is not None:
            return updated
    raise ProfileVersionConflict


def _stale(row: RowMapping) -> ProfileVersionConflict:
    return ProfileVersionConflict(data={"current": UserOut.model_validate(dict(row)).model_dump(mode="json")})
