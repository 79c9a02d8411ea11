"""R30: dates are RFC 3339 text of sane years; a number is none."""

from datetime import UTC, date, datetime

import pytest
from chassis.dates import Day, Instant
from pydantic import TypeAdapter, ValidationError

DAY, INSTANT = TypeAdapter(Day), TypeAdapter(Instant)


def refusal(adapter, value):
    with pytest.raises(ValidationError) as caught:
        adapter.validate_python(value)
    return caught.value.errors()[0]["type"]


@pytest.mark.parametrize("text", ["1970-01-01", "2028-02-29", "2100-12-31"])
def test_r30_a_day_is_what_it_says(text):
    assert DAY.validate_python(text) == date.fromisoformat(text)


@pytest.mark.parametrize(
    "value",
    [
        0,
        1.5,
        True,
        None,
        [],
        "0",
        "",
        "20261201",
        "2026-W01-1",
        "2026-02-30",
        "2026-12-01T00:00:00",
        "10000-01-01",
        "\uff12026-12-01",
    ],
)
def test_r30_what_is_no_day_is_refused(value):
    assert refusal(DAY, value) == "INVALID_FORMAT"


@pytest.mark.parametrize("text", ["0001-01-01", "1969-12-31", "2101-01-01", "9999-12-31"])
def test_r30_days_of_other_years_are_refused(text):
    assert refusal(DAY, text) == "DATE_OUT_OF_RANGE"


@pytest.mark.parametrize("text", ["2026-12-01T09:00:00Z", "2026-12-01T10:00:00+01:00", "2026-12-01t09:00:00.000z"])
def test_r30_an_instant_has_an_offset(text):
    assert INSTANT.validate_python(text) == datetime(2026, 12, 1, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        0,
        "0",
        "101",
        "1.5",
        "1e30",
        "2026-12-01",
        "2026-12-01T09:00Z",
        "2026-12-01T09:00:00+99:99",
        "2026-12-01T25:00:00Z",
    ],
)
def test_r30_what_is_no_instant_is_refused(value):
    assert refusal(INSTANT, value) == "INVALID_FORMAT"


def test_r30_an_instant_without_an_offset_is_refused():
    assert refusal(INSTANT, "2026-12-01T09:00:00") == "TIMEZONE_REQUIRED"


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
def test_r30_instants_of_other_years_are_refused(text):
    assert refusal(INSTANT, text) == "DATE_OUT_OF_RANGE"
