"""Where a caller is: days begin and end there."""

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from chassis.filtering.binding import needs_zone
from chassis.filtering.fields import FieldTable
from chassis.filtering.values import Context
from chassis.filtering.written import Written
from chassis.identity import Principal
from chassis.timezones import zone_named
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tasks_service.timezones import repository

UTC = ZoneInfo("UTC")


async def zone_of(reader: AsyncConnection | AsyncSession, *, caller: Principal, asked_for: ZoneInfo | None) -> ZoneInfo:
    """Return the zone that a request asks for, or that of the caller's profile, or UTC.

    Only the profile costs a statement: what does not depend on the zone need not ask (chassis.filtering.binding's
    needs_zone).
    """
    if asked_for is not None:
        return asked_for
    name = await repository.find_zone(reader, caller.user_id)
    return (None if name is None else zone_named(name)) or UTC


async def context_of(
    reader: AsyncConnection | AsyncSession,
    *,
    caller: Principal,
    asked_for: ZoneInfo | None,
    written: Sequence[Written],
    fields: FieldTable,
    now: datetime,
) -> Context:
    """Return who asks for what these filters find, where and when; it is UTC where that makes no difference."""
    matters = asked_for is not None or any(needs_zone(one, fields) for one in written)
    zone = await zone_of(reader, caller=caller, asked_for=asked_for) if matters else UTC
    return Context(caller.user_id, zone, now)
