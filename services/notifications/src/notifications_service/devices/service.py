"""Use cases of devices. Each is part of one transaction that its caller commits."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from chassis.clock import utcnow
from chassis.errors import NotFound
from chassis.ids import uuid7
from chassis.sealing import KeyRing
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from notifications_service.devices import repository
from notifications_service.devices.errors import DeviceVersionConflict, TooManyDevices
from notifications_service.devices.rules import MAX_DEVICES, address_hash, address_place
from notifications_service.devices.schemas import DeviceCreate, DeviceOut, DevicePatch


async def register_device(
    session: AsyncSession, *, user_id: UUID, wanted: DeviceCreate, ring: KeyRing
) -> tuple[RowMapping, bool]:
    """Register a device of the user's, and tell whether it is new to them. Raises TooManyDevices.

    Whoever had it before has it no more: it is with who holds it now.
    """
    digest = address_hash(wanted.kind, wanted.known_by)
    await repository.hold_user(session, user_id)
    if await repository.count_others(session, user_id=user_id, address_hash=digest) >= MAX_DEVICES:
        raise TooManyDevices
    now = utcnow()
    values = {
        "id": uuid7(),
        "user_id": user_id,
        "kind": wanted.kind,
        "name": wanted.name,
        "app": wanted.app,
        "address_hash": digest,
        "address_sealed": ring.seal(wanted.address.encode(), place=address_place(digest)),
        "version": 1,
        "created_at": now,
        "updated_at": now,
    }
    row = await repository.put(session, values)
    return row, row["id"] == values["id"]


async def update_device(
    session: AsyncSession, *, user_id: UUID, device_id: UUID, patch: DevicePatch, expected: int | None
) -> RowMapping:
    """Apply a merge patch. Raises NotFound, DeviceVersionConflict."""
    values = {**patch.given(), "updated_at": utcnow()}
    row = await repository.change(session, user_id=user_id, device_id=device_id, expected=expected, values=values)
    return row or await _refuse(session, user_id=user_id, device_id=device_id)


async def delete_device(session: AsyncSession, *, user_id: UUID, device_id: UUID, expected: int | None) -> None:
    """Forget a device. Raises NotFound, DeviceVersionConflict."""
    if not await repository.remove(session, user_id=user_id, device_id=device_id, expected=expected):
        await _refuse(session, user_id=user_id, device_id=device_id)


async def _refuse(session: AsyncSession, *, user_id: UUID, device_id: UUID) -> RowMapping:
    current = await repository.find(session, user_id=user_id, device_id=device_id)
    if current is None:
        raise NotFound
    raise DeviceVersionConflict(data={"current": json.loads(DeviceOut.of(current).model_dump_json())})


async def forget_devices(session: AsyncSession, *, user_id: UUID) -> None:
    """Forget all devices of somebody who is gone."""
    await repository.remove_of_user(session, user_id)


def address_of(row: Mapping[Any, Any], ring: KeyRing) -> str:
    """Return what is needed to send to a device. Raises SealError."""
    return ring.open(row["address_sealed"], place=address_place(row["address_hash"])).decode()
