"""From values as they are written to those of a field's type; what is refused is never repeated."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from chassis.dates import FIRST_YEAR, LAST_YEAR
from chassis.filtering.fields import Field, FieldType
from chassis.filtering.moments import FUNCTIONS, Moment, NoMoment, NoOffset, day_of, moment_of
from chassis.filtering.tree import Value
from chassis.filtering.written import WrittenValue
from chassis.text import closest

MAX_TEXT = 500
ME = "me"
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
NUMBER = re.compile(r"-?[0-9]{1,20}(?:\.[0-9]{1,30})?(?:e[+-]?[0-9]{1,3})?", re.IGNORECASE | re.ASCII)
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
BOOLEANS = {"true": True, "false": False}
A_MOMENT = (
    "a day (2026-12-01), an instant (2026-12-01T09:00:00Z) or a function of now (today()+7d), "
    f"in the years from {FIRST_YEAR} to {LAST_YEAR}"
)


@dataclass(frozen=True, slots=True)
class Context:
    """Who asks, where and when: what `me` and relative dates are of."""

    user_id: UUID
    zone: ZoneInfo
    now: datetime


class RefusedValue(ValueError):
    """A value that is none of its field's; with a sentence, what would be one, and a guess that takes its time."""

    def __init__(
        self,
        wanted: str,
        *,
        code: str = "VALUE_NOT_ALLOWED",
        allowed: tuple[str, ...] | None = None,
        guess: Callable[[], str | None] = lambda: None,
    ) -> None:
        super().__init__(wanted)
        self.message = f"This field is compared with {wanted}."
        self.code = code
        self.allowed = allowed
        self.guess = guess


def plain_value(written: WrittenValue, field: Field) -> str | int | float | bool:
    """Return a value as JSON has it, not resolved; what is no number or boolean stays as it is written."""
    if not written.bare or field.type not in ("number", "boolean", "scalar"):
        return written.value
    number = _bare_number(written) if field.type != "boolean" else None
    boolean = BOOLEANS.get(str(written.value).lower()) if field.type != "number" else None
    return next((one for one in (number, boolean) if one is not None), written.value)


def value_of(written: WrittenValue, field: Field, context: Context) -> Value:
    """Return the value of a field's type. Raises RefusedValue."""
    return READERS[field.type](written, field, context)


def _text_in(written: WrittenValue, wanted: str) -> str:
    if not isinstance(written.value, str) or len(written.value) > MAX_TEXT or UNSTORABLE.search(written.value):
        raise RefusedValue(wanted)
    return written.value


def _id(written: WrittenValue, _field: Field, _context: Context) -> UUID:
    text = _text_in(written, "an id (a UUID)")
    if ID.fullmatch(text) is None:
        raise RefusedValue("an id (a UUID)")
    return UUID(text)


def _user(written: WrittenValue, field: Field, context: Context) -> UUID:
    if written.value == ME:
        return context.user_id
    try:
        return _id(written, field, context)
    except RefusedValue:
        raise RefusedValue("the id of a user, or `me`") from None


def _keyword(written: WrittenValue, field: Field, _context: Context) -> str:
    wanted = "one of its values" if field.allowed else f"a word such as {field.example}"
    text = _text_in(written, wanted)
    if field.allowed is not None and text not in field.allowed:
        allowed = tuple(field.allowed)
        raise RefusedValue(wanted, allowed=allowed, guess=lambda: closest(text.lower(), allowed))
    if field.pattern is not None and re.fullmatch(field.pattern, text) is None:
        raise RefusedValue(wanted)
    return text


def _text(written: WrittenValue, _field: Field, _context: Context) -> str:
    return _text_in(written, f"a text of up to {MAX_TEXT} characters")


def _number(written: WrittenValue, field: Field, _context: Context) -> int | float:
    wanted = "a whole number of up to 64 bits" if field.whole else "a number of up to 64 bits"
    number = _bare_number(written) if written.bare else written.value
    if isinstance(number, bool | str) or number is None:
        raise RefusedValue(wanted)
    number = _shortest(number, wanted)
    if field.whole and not isinstance(number, int):
        raise RefusedValue(wanted)
    return number


def _bare_number(written: WrittenValue) -> int | float | None:
    text = str(written.value)
    if NUMBER.fullmatch(text) is None:
        return None
    return int(text) if text.removeprefix("-").isdigit() else float(text)


def _shortest(number: float, wanted: str) -> int | float:
    """Return a number, as a whole one where it is one: `5.0` is 5. Raises RefusedValue."""
    if not math.isfinite(number):
        raise RefusedValue(wanted)
    if not float(number).is_integer():
        return number
    if not INT64_MIN <= number <= INT64_MAX:
        raise RefusedValue(wanted)
    return int(number)


def _boolean(written: WrittenValue, _field: Field, _context: Context) -> bool:
    value = BOOLEANS.get(str(written.value).lower()) if written.bare else written.value
    if not isinstance(value, bool):
        raise RefusedValue("true or false", allowed=("true", "false"))
    return value


def _day(written: WrittenValue, field: Field, context: Context) -> Value:
    day = day_of(_moment(written, field, context), context.zone)
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise RefusedValue(A_MOMENT)
    return day


def _moment(written: WrittenValue, _field: Field, context: Context) -> Moment:
    text = _text_in(written, A_MOMENT)
    try:
        return moment_of(text, zone=context.zone, now=context.now)
    except NoOffset:
        raise RefusedValue("an instant that has an offset, such as Z", code="TIMEZONE_REQUIRED") from None
    except NoMoment:
        raise RefusedValue(A_MOMENT, guess=lambda: _function_meant(text)) from None


def _function_meant(text: str) -> str | None:
    name, bracket, _ = text.partition("(")
    guess = closest(name.strip().lower(), (*FUNCTIONS, "now"))
    return f"{guess}()" if guess and (guess != name or not bracket) else None


def _scalar(written: WrittenValue, _field: Field, _context: Context) -> Value:
    wanted = f"a text of up to {MAX_TEXT} characters, a number, true or false"
    value = written.value
    if written.bare:
        number = _bare_number(written)
        value = BOOLEANS.get(str(value).lower(), value if number is None else number)
    if isinstance(value, bool):
        return value
    return _text_in(written, wanted) if isinstance(value, str) else _shortest(value, wanted)


READERS: Mapping[FieldType, Callable[[WrittenValue, Field, Context], Value]] = {
    "id": _id,
    "user": _user,
    "keyword": _keyword,
    "text": _text,
    "number": _number,
    "boolean": _boolean,
    "day": _day,
    "instant": _moment,
    "due": _moment,
    "scalar": _scalar,
}
