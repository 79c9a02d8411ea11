"""What a caller may name as a zone."""

from zoneinfo import ZoneInfo

from chassis.timezones import UnknownTimezone, closest_timezone, zone_named


def named_zone(name: str, *, field: str = "tz") -> ZoneInfo:
    """Return the zone of a name. Raises UnknownTimezone with the closest one."""
    found = zone_named(name)
    if found is None:
        guess = closest_timezone(name)
        raise UnknownTimezone(field=field, hint=f"did you mean {guess}?" if guess else None)
    return found
