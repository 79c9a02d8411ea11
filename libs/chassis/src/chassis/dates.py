"""Days and instants as clients write them (RFC 3339), and nothing else.

Pydantic's own types read a number as seconds since 1970, be it `0` or `"101"`, and take an instant for a day.
"""

import re
from datetime import date, datetime
from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

FIRST_YEAR, LAST_YEAR = 1970, 2100

DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
# RFC 3339, section 5.6.
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)?", re.ASCII | re.IGNORECASE)


def _day(value: Any) -> date:
    try:
        found = date.fromisoformat(value) if isinstance(value, str) and DAY.fullmatch(value) else None
    except ValueError:
        found = None
    if found is None:
        raise PydanticCustomError("INVALID_FORMAT", "A date looks like 2026-12-01.")
    _check_year(found)
    return found


def _instant(value: Any) -> datetime:
    try:
        found = datetime.fromisoformat(value.upper()) if isinstance(value, str) and INSTANT.fullmatch(value) else None
    except ValueError:
        found = None
    if found is None:
        raise PydanticCustomError("INVALID_FORMAT", "An instant looks like 2026-12-01T09:00:00Z.")
    if found.tzinfo is None:
        raise PydanticCustomError("TIMEZONE_REQUIRED", "This instant needs an offset, such as Z.")
    _check_year(found)
    return found


def _check_year(value: date) -> None:
    if not FIRST_YEAR <= value.year <= LAST_YEAR:
        raise PydanticCustomError("DATE_OUT_OF_RANGE", "Years run from 1970 to 2100.")


Day = Annotated[date, BeforeValidator(_day)]
"""A day of the years that a client may give (R30)."""

Instant = Annotated[datetime, BeforeValidator(_instant)]
"""An instant of these years, with its offset."""
