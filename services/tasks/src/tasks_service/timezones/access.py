"""The zone that a request asks for."""

from typing import Annotated
from zoneinfo import ZoneInfo

from chassis.timezones import UnknownTimezone
from chassis.web.routing import refuses
from fastapi import Depends, Header, Query

from tasks_service.timezones.rules import named_zone

MEANING = "Where days begin and end: an IANA name such as `Europe/Berlin`."


@refuses(UnknownTimezone)
async def asked_zone(
    tz: Annotated[
        str | None,
        Query(description=f"{MEANING} Without it, `X-Timezone` counts, then your profile, then UTC."),
    ] = None,
    x_timezone: Annotated[
        str | None, Header(alias="X-Timezone", description=f"{MEANING} `tz` counts before it.")
    ] = None,
) -> ZoneInfo | None:
    """Return the zone that a request names, if it does. Raises UnknownTimezone."""
    if tz is not None:
        return named_zone(tz)
    return None if x_timezone is None else named_zone(x_timezone, field="X-Timezone")


AskedZone = Annotated[ZoneInfo | None, Depends(asked_zone)]
"""For zone_of, which knows the rest."""
