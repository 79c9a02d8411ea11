"""Where a caller is: days begin and end there."""

from zoneinfo import ZoneInfo

from chassis.db.direct import DirectReader
from chassis.identity import Principal
from chassis.timezones import zone_named
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tasks_service.timezones import repository

UTC = ZoneInfo("UTC")


async def zone_of(
    reader: AsyncConnection | AsyncSession | DirectReader, *, caller: Principal, asked_for: ZoneInfo | None
) -> ZoneInfo:
    """Return the zone that a request asks for, or that of the caller's profile, or UTC."""
    if asked_for is not None:
        return asked_for
    return zone_or_utc(await repository.find_zone(reader, caller.user_id))


def zone_or_utc(name: str | None) -> ZoneInfo:
    """Return the zone that a profile has; UTC where it has none, or one that is none any more."""
    return (None if name is None else zone_named(name)) or UTC
