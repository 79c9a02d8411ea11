"""What a caller may name as a zone."""

from zoneinfo import ZoneInfo

from chassis.text import hint_at
from chassis.timezones import UnknownTimezone, closest_timezone, zone_named


def named_zone(name: str, *, field: str = "tz") -> ZoneInfo:
    """Return the zone of a name. Raises UnknownTimezone with the closest one."""
    found = zone_named(name)
    if found is None:
        raise UnknownTimezone(field=field, hint=hint_at(closest_timezone(name)))
    return found


def named_or(name: str | None, otherwise: ZoneInfo | None) -> ZoneInfo | None:
    """Return the zone that a body names, or else that of its request. Raises UnknownTimezone."""
    return otherwise if name is None else named_zone(name)
