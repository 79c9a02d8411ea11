"""How due dates come in and go out."""

from datetime import date, datetime
from functools import cache
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import BaseModel, BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError
from sqlalchemy import RowMapping

from tasks_service.dues.rules import Due, due_at, due_floating, due_on

DUE_INPUT_SCHEMA: dict[str, Any] = {
    "title": "DueInput",
    "description": (
        'When the task is due. A string is a date (`"2026-12-01"`) or an instant with an offset '
        '(`"2026-12-01T09:00:00Z"`). An object has exactly one of `date`, `at` (with `timezone`) or `local`, '
        "or is what a read gives."
    ),
    "examples": ["2026-12-01", {"at": "2026-12-01T08:00:00Z", "timezone": "Europe/Berlin"}],
    "oneOf": [
        {"type": "string"},
        {
            "type": "object",
            "additionalProperties": False,
            "required": ["date"],
            "properties": {"date": {"type": "string", "format": "date"}, "timezone": {"type": "null"}},
        },
        {
            "type": "object",
            "additionalProperties": False,
            "required": ["at"],
            "properties": {
                "at": {"type": "string", "format": "date-time"},
                "timezone": {"type": ["string", "null"], "description": "IANA zone; UTC when absent."},
            },
        },
        {
            "type": "object",
            "additionalProperties": False,
            "required": ["local"],
            "properties": {"local": {"type": "string"}, "timezone": {"type": "null"}},
        },
        {
            "type": "object",
            "description": "As a task is read: `kind` says which of the others counts.",
            "additionalProperties": False,
            "required": ["kind"],
            "properties": {
                "kind": {"enum": ["date", "at", "local"]},
                "date": {"type": ["string", "null"]},
                "at": {"type": ["string", "null"]},
                "timezone": {"type": ["string", "null"]},
                "local": {"type": ["string", "null"]},
            },
        },
    ],
}

DATE_LENGTH = len("2026-12-01")
FIRST_YEAR, LAST_YEAR = 1970, 2100


def parse_due(value: Any) -> Any:
    """Read any of the forms of a due. Raises PydanticCustomError with a code of the error catalogue."""
    if value is None or isinstance(value, Due):
        return value
    if isinstance(value, str):
        return _due_from_text(value)
    if not isinstance(value, dict):
        raise PydanticCustomError("WRONG_TYPE", "A due is a date, an instant or an object.")
    value = _as_written(value)
    forms = value.keys() & {"date", "at", "local"}
    if len(forms) != 1 or value.keys() - {"date", "at", "local", "timezone"}:
        raise PydanticCustomError("INVALID_DUE", "A due has exactly one of date, at and local.")
    return _due_from_object(value, forms.pop())


def _as_written(value: dict[str, Any]) -> dict[str, Any]:
    """Return what somebody would write for a due as it is read, which has every part and says which one counts."""
    if "kind" not in value or value.keys() - {"kind", "date", "at", "timezone", "local"}:
        return value
    kind = value["kind"]
    parts = {"date": ("date",), "at": ("at", "timezone"), "local": ("local",)}.get(str(kind), ())
    return {name: value[name] for name in parts if value.get(name) is not None}


def _due_from_text(text: str) -> Due:
    return due_on(_date(text)) if len(text) == DATE_LENGTH else due_at(_instant(text), "UTC")


def _due_from_object(value: dict[str, Any], form: str) -> Due:
    zone = value.get("timezone")
    if form == "date" and zone is None:
        return due_on(_date(value["date"]))
    if form == "local" and zone is None:
        return due_floating(_wall_time(value["local"]))
    if form == "at":
        return due_at(_instant(value["at"]), _zone(zone))
    raise PydanticCustomError("INVALID_DUE", "Only an instant (at) has a timezone.")


def _date(text: Any) -> date:
    try:
        found = date.fromisoformat(text)
    except (TypeError, ValueError):
        raise PydanticCustomError("INVALID_FORMAT", "A date looks like 2026-12-01.") from None
    _check_year(found.year)
    return found


def _wall_time(text: Any) -> datetime:
    found = _date_time(text)
    if found.tzinfo is not None:
        raise PydanticCustomError("INVALID_DUE", "A local time has no offset.")
    return found


def _instant(text: Any) -> datetime:
    found = _date_time(text)
    if found.tzinfo is None:
        raise PydanticCustomError("TIMEZONE_REQUIRED", "This instant needs an offset, such as Z.")
    return found


def _date_time(text: Any) -> datetime:
    try:
        day, clock = text.split("T")
        found = datetime.fromisoformat(f"{day}T{clock}")
    except (TypeError, ValueError, AttributeError):
        raise PydanticCustomError("INVALID_FORMAT", "An instant looks like 2026-12-01T09:00:00Z.") from None
    _check_year(found.year)
    return found.replace(microsecond=0)


def _check_year(year: int) -> None:
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise PydanticCustomError("DATE_OUT_OF_RANGE", "Years run from 1970 to 2100.")


@cache
def _timezones() -> frozenset[str]:
    return frozenset(available_timezones())


def _zone(name: Any) -> str:
    if name is None:
        return "UTC"
    if not isinstance(name, str) or name not in _timezones():
        raise PydanticCustomError("INVALID_TIMEZONE", "A timezone is an IANA name such as Europe/Berlin.")
    return name


DueInput = Annotated[Due, BeforeValidator(parse_due), WithJsonSchema(DUE_INPUT_SCHEMA)]


class DueOut(BaseModel):
    """When a task is due. For `at`, `local` and `timezone` are what was meant and `at` is derived."""

    kind: Literal["date", "at", "local"]
    date: date | None
    at: datetime | None
    timezone: str | None
    local: str | None


def due_of(row: RowMapping) -> DueOut | None:
    """Make the due of a row with its columns."""
    if row["due_kind"] is None:
        return None
    local = row["due_local"]
    return DueOut.model_construct(
        kind=row["due_kind"],
        date=row["due_date"],
        at=row["due_at"],
        timezone=row["due_timezone"],
        local=None if local is None else local.isoformat(timespec="seconds"),
    )
