"""All SQL on one-time codes, recovery codes, and whether an account has a second factor."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from chassis.db.purging import delete_batch
from chassis.db.sealed import SealedColumn
from sqlalchemy import RowMapping, case, delete, exists, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from auth_service.passkeys.models import Passkey
from auth_service.second_factors.models import OtpTries, RecoveryCode, Totp
from auth_service.second_factors.rules import seed_place
from auth_service.users.models import Account

totp = table_of(Totp)
SEED = SealedColumn(totp.c.secret_sealed, lambda row: seed_place(row["id"]))
code = table_of(RecoveryCode)
tried = table_of(OtpTries)
passkey = table_of(Passkey)
account = table_of(Account)


async def put_pending(session: AsyncSession, values: Mapping[str, Any]) -> bool:
    """Keep a seed that is to be confirmed, in place of an earlier one; False where one has been confirmed."""
    statement = upsert(totp).values(**values)
    replaced = {name: value for name, value in values.items() if name != "user_id"}
    statement = statement.on_conflict_do_update(
        index_elements=["user_id"], set_=replaced, where=totp.c.confirmed_at.is_(None)
    )
    return await session.scalar(statement.returning(totp.c.id)) is not None


async def find_totp(session: AsyncSession, user_id: UUID) -> RowMapping | None:
    """Return an account's generator, confirmed or not."""
    return (await session.execute(select(totp).where(totp.c.user_id == user_id))).mappings().one_or_none()


async def confirm_totp(session: AsyncSession, totp_id: UUID, *, step: int, now: datetime) -> bool:
    """Put a pending generator into force, with the step of the code that was shown; False when it is no more."""
    statement = update(totp).where(totp.c.id == totp_id, totp.c.confirmed_at.is_(None))
    confirmed = await session.execute(statement.values(confirmed_at=now, last_step=step).returning(totp.c.id))
    return confirmed.one_or_none() is not None


async def use_step(session: AsyncSession, totp_id: UUID, step: int) -> bool:
    """Take the code of a step; False when one of this or of a later step was taken before."""
    unused = or_(totp.c.last_step.is_(None), totp.c.last_step < step)
    statement = update(totp).where(totp.c.id == totp_id, unused).values(last_step=step)
    return (await session.execute(statement.returning(totp.c.id))).one_or_none() is not None


async def delete_totp(session: AsyncSession, user_id: UUID) -> bool:
    """Delete a confirmed generator; False when there is none."""
    statement = delete(totp).where(totp.c.user_id == user_id, totp.c.confirmed_at.is_not(None))
    return (await session.execute(statement.returning(totp.c.id))).one_or_none() is not None


async def replace_codes(session: AsyncSession, user_id: UUID, digests: Sequence[bytes]) -> None:
    """Keep these recovery codes and no others."""
    await session.execute(delete(code).where(code.c.user_id == user_id))
    if digests:
        await session.execute(insert(code), [{"user_id": user_id, "hash": digest} for digest in digests])


async def use_code(session: AsyncSession, user_id: UUID, digest: bytes, *, now: datetime) -> bool:
    """Use a recovery code up; False when there is no such code, or not any more."""
    statement = update(code).where(code.c.user_id == user_id, code.c.hash == digest, code.c.used_at.is_(None))
    return (await session.execute(statement.values(used_at=now).returning(code.c.hash))).one_or_none() is not None


async def count_try(session: AsyncSession, user_id: UUID, *, now: datetime, since: datetime, most: int) -> bool:
    """Count a try, anew where the last ones began before `since`; False, and nothing counted, after `most` of them.

    The row stays locked, so that tries on one account come one after the other.
    """
    over = tried.c.began_at <= since
    statement = upsert(tried).values(user_id=user_id, tries=1, began_at=now)
    statement = statement.on_conflict_do_update(
        index_elements=["user_id"],
        set_={"tries": case((over, 1), else_=tried.c.tries + 1), "began_at": case((over, now), else_=tried.c.began_at)},
        where=or_(over, tried.c.tries < most),
    )
    return await session.scalar(statement.returning(tried.c.tries)) is not None


async def tries_began_at(session: AsyncSession, user_id: UUID) -> datetime | None:
    """Return when the tries that count now began."""
    found: datetime | None = await session.scalar(select(tried.c.began_at).where(tried.c.user_id == user_id))
    return found


async def forget_tries(session: AsyncSession, user_id: UUID) -> None:
    """Begin anew after a right code."""
    await session.execute(delete(tried).where(tried.c.user_id == user_id))


async def settle(session: AsyncSession, user_id: UUID) -> bool:
    """Note whether a locked account has a second factor now, and return it."""
    has_totp = exists().where(totp.c.user_id == user_id, totp.c.confirmed_at.is_not(None))
    has_passkey = exists().where(passkey.c.user_id == user_id)
    statement = update(account).where(account.c.id == user_id).values(has_second_factor=or_(has_totp, has_passkey))
    settled: bool = (await session.execute(statement.returning(account.c.has_second_factor))).scalar_one()
    return settled


async def summary(reader: AsyncSession | AsyncConnection, user_id: UUID) -> RowMapping:
    """Return since when an account has a generator, how many passkeys, and how many unused recovery codes."""
    confirmed = select(totp.c.confirmed_at).where(totp.c.user_id == user_id).scalar_subquery()
    keys = select(func.count()).select_from(passkey).where(passkey.c.user_id == user_id).scalar_subquery()
    unused = select(func.count()).select_from(code).where(code.c.user_id == user_id, code.c.used_at.is_(None))
    query = select(
        confirmed.label("totp_confirmed_at"),
        keys.label("passkeys"),
        unused.scalar_subquery().label("recovery_codes_left"),
    )
    return (await reader.execute(query)).mappings().one()


async def delete_all(session: AsyncSession, user_id: UUID) -> None:
    """Delete all that an account has of this, passkeys excepted."""
    for table in (totp, code, tried):
        await session.execute(delete(table).where(table.c.user_id == user_id))


async def purge_tries(session: AsyncSession, *, before: datetime) -> bool:
    """Delete a batch of tries that count no more; return whether there may be more."""
    return await delete_batch(session, tried, tried.c.began_at < before)


async def purge_pending(session: AsyncSession, *, before: datetime) -> bool:
    """Delete a batch of seeds that nobody confirmed; return whether there may be more."""
    return await delete_batch(session, totp, totp.c.confirmed_at.is_(None), totp.c.created_at < before)
