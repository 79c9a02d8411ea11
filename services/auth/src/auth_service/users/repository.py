"""All SQL on accounts."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.addresses import EmailAddress
from chassis.db.base import table_of
from sqlalchemy import RowMapping, any_, literal_column, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from auth_service.users.models import Account

account = table_of(Account)


async def add(session: AsyncSession, values: Mapping[str, Any]) -> RowMapping | None:
    """Insert an account; None when the address is taken."""
    statement = insert(account).values(**values).on_conflict_do_nothing(index_elements=["email_canonical"])
    return (await session.execute(statement.returning(*account.c))).mappings().one_or_none()


async def find_by_email(reader: AsyncSession | AsyncConnection, canonical: str) -> RowMapping | None:
    """Return the account of an address."""
    query = select(account).where(account.c.email_canonical == canonical)
    return (await reader.execute(query)).mappings().one_or_none()


async def find(reader: AsyncSession | AsyncConnection, user_id: UUID) -> RowMapping | None:
    """Return an account."""
    return (await reader.execute(select(account).where(account.c.id == user_id))).mappings().one_or_none()


async def lock(session: AsyncSession, user_id: UUID) -> RowMapping | None:
    """Return an account that stays as it is until the transaction ends."""
    query = select(account).where(account.c.id == user_id).with_for_update()
    return (await session.execute(query)).mappings().one_or_none()


async def lock_admins(session: AsyncSession) -> frozenset[UUID]:
    """Return the active administrators; none of them ceases to be one until the transaction ends."""
    is_admin = literal_column("'admin'") == any_(account.c.roles), account.c.status == "active"
    query = select(account.c.id).where(*is_admin).order_by(account.c.id).with_for_update()
    return frozenset((await session.execute(query)).scalars())


async def lock_by_email(session: AsyncSession, canonical: str) -> RowMapping | None:
    """Return the account of an address, which stays as it is until the transaction ends."""
    query = select(account).where(account.c.email_canonical == canonical).with_for_update()
    return (await session.execute(query)).mappings().one_or_none()


async def apply_changes(session: AsyncSession, *, user_id: UUID, values: Mapping[str, Any]) -> RowMapping:
    """Change a locked account, and count its version on."""
    statement = update(account).where(account.c.id == user_id)
    statement = statement.values(**values, version=account.c.version + 1)
    return (await session.execute(statement.returning(*account.c))).mappings().one()


async def change_email(
    session: AsyncSession, *, user_id: UUID, address: EmailAddress, now: datetime
) -> RowMapping | None:
    """Give a locked account another address, which is proved; None when somebody else has it."""
    values = {
        "email": address.display,
        "email_canonical": address.canonical,
        "email_verified_at": now,
        "updated_at": now,
    }
    try:
        async with session.begin_nested():
            return await apply_changes(session, user_id=user_id, values=values)
    except IntegrityError:
        return None


async def set_password_hash(session: AsyncSession, *, user_id: UUID, old: str, new: str) -> None:
    """Put another hash of the same password in the place of one, unless somebody else has replaced that."""
    statement = update(account).where(account.c.id == user_id, account.c.password_hash == old)
    await session.execute(statement.values(password_hash=new))
