"""All SQL on devices: each is for its user."""

from collections.abc import Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from chassis.db.base import table_of
from chassis.db.sealed import SealedColumn
from sqlalchemy import CursorResult, RowMapping, case, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from notifications_service.devices.models import Device
from notifications_service.devices.rules import address_place

device = table_of(Device)
ADDRESS = SealedColumn(device.c.address_sealed, lambda row: address_place(row["address_hash"]))
Reader = AsyncConnection | AsyncSession


async def hold_user(session: AsyncSession, user_id: UUID) -> None:
    """Let nobody else register devices of a user until the transaction ends."""
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"device:{user_id}", 0))))


async def count_others(session: AsyncSession, *, user_id: UUID, address_hash: bytes) -> int:
    """Return how many devices a user has beside one."""
    query = select(func.count()).where(device.c.user_id == user_id, device.c.address_hash != address_hash)
    return (await session.execute(query)).scalar_one()


async def put(session: AsyncSession, values: Mapping[str, Any]) -> RowMapping:
    """Register a device; one that is known is changed, and of another user it becomes a new one of this user's."""
    statement = insert(device).values(**values)
    new = statement.excluded
    is_mine = device.c.user_id == new.user_id
    changed = {
        "id": case((is_mine, device.c.id), else_=new.id),
        "version": case((is_mine, device.c.version + 1), else_=new.version),
        "created_at": case((is_mine, device.c.created_at), else_=new.created_at),
        **{name: new[name] for name in ("user_id", "name", "app", "address_sealed", "updated_at")},
    }
    put_it = statement.on_conflict_do_update(index_elements=["address_hash"], set_=changed)
    return (await session.execute(put_it.returning(*device.c))).mappings().one()


async def of_user(reader: Reader, user_id: UUID) -> Sequence[RowMapping]:
    """Return a user's devices, the oldest first."""
    query = select(device).where(device.c.user_id == user_id).order_by(device.c.created_at, device.c.id)
    return (await reader.execute(query)).mappings().all()


async def find(reader: Reader, *, user_id: UUID, device_id: UUID) -> RowMapping | None:
    """Return a device of the user's."""
    query = select(device).where(device.c.id == device_id, device.c.user_id == user_id)
    return (await reader.execute(query)).mappings().one_or_none()


async def find_all_unscoped(reader: Reader, ids: Sequence[UUID]) -> dict[UUID, RowMapping]:
    """Return devices by id, whoever they are of."""
    rows = (await reader.execute(select(device).where(device.c.id.in_(ids)))).mappings()
    return {row["id"]: row for row in rows}


async def targets_of(reader: Reader, user_ids: Sequence[UUID]) -> Sequence[RowMapping]:
    """Return the ids of these users' devices."""
    query = select(device.c.id, device.c.user_id).where(device.c.user_id.in_(user_ids)).order_by(device.c.id)
    return (await reader.execute(query)).mappings().all()


async def change(
    session: AsyncSession, *, user_id: UUID, device_id: UUID, expected: int | None, values: Mapping[str, Any]
) -> RowMapping | None:
    """Change a device of the user's that is still at the expected version, if any is expected."""
    statement = update(device).where(device.c.id == device_id, device.c.user_id == user_id)
    if expected is not None:
        statement = statement.where(device.c.version == expected)
    changed = statement.values(**values, version=device.c.version + 1).returning(*device.c)
    return (await session.execute(changed)).mappings().one_or_none()


async def remove(session: AsyncSession, *, user_id: UUID, device_id: UUID, expected: int | None) -> bool:
    """Delete a device of the user's that is still at the expected version, if any is expected."""
    statement = delete(device).where(device.c.id == device_id, device.c.user_id == user_id)
    if expected is not None:
        statement = statement.where(device.c.version == expected)
    return cast("CursorResult[Any]", await session.execute(statement)).rowcount == 1


async def remove_unscoped(session: AsyncSession, device_id: UUID) -> None:
    """Delete a device that takes nothing any more."""
    await session.execute(delete(device).where(device.c.id == device_id))


async def remove_of_user(session: AsyncSession, user_id: UUID) -> None:
    """Delete all devices of somebody."""
    await session.execute(delete(device).where(device.c.user_id == user_id))
