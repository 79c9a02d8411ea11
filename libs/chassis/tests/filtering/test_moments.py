"""D3: days and instants relative to now in a zone, and what a day is there."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from chassis.filtering.moments import NoMoment, NoOffset, day_bounds, day_of, moment_of
from hypothesis import given, settings
from hypothesis import strategies as st

# A Thursday; in Berlin it is Friday already.
NOW = datetime(2026, 11, 26, 23, 30, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
ODD_ZONES = [
    *("Europe/Berlin", "America/New_York", "Pacific/Apia", "Asia/Beirut", "America/Sao_Paulo", "Africa/Cairo"),
    *("America/Havana", "Asia/Kathmandu", "Australia/Lord_Howe", "America/Nuuk", "Pacific/Kiritimati", "UTC"),
]


def instant(text):
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("today()", date(2026, 11, 27)),
        ("TODAY( )", date(2026, 11, 27)),
        ("tomorrow()", date(2026, 11, 28)),
        ("yesterday()", date(2026, 11, 26)),
        ("start_of_week()", date(2026, 11, 23)),
        ("end_of_week()", date(2026, 11, 29)),
        ("start_of_month()", date(2026, 11, 1)),
        ("end_of_month()", date(2026, 11, 30)),
        ("start_of_year()", date(2026, 1, 1)),
        ("end_of_year()", date(2026, 12, 31)),
        ("now()", NOW),
        ("today()+7d", date(2026, 12, 4)),
        ("start_of_week()+1w-1d", date(2026, 11, 29)),
        ("today() + 1w - 2d", date(2026, 12, 2)),
        ("today() 7d", date(2026, 12, 4)),
        ("end_of_month()+3mo", date(2027, 2, 28)),
        ("end_of_month()+15mo", date(2028, 2, 29)),
        ("today()-11mo", date(2025, 12, 27)),
        ("today()+1y-1mo", date(2027, 10, 27)),
        ("today()+0d", date(2026, 11, 27)),
        ("now()-2h+30min", datetime(2026, 11, 26, 22, 0, tzinfo=UTC)),
        ("today()+9h", datetime(2026, 11, 27, 8, 0, tzinfo=UTC)),
        ("today()-1min", datetime(2026, 11, 26, 22, 59, tzinfo=UTC)),
        ("2026-12-01", date(2026, 12, 1)),
        ("2026-12-01T09:00:00Z", datetime(2026, 12, 1, 9, tzinfo=UTC)),
        ("2026-12-01t09:00:00.123456789+02:00", datetime(2026, 12, 1, 7, 0, 0, 123456, tzinfo=UTC)),
        ("2026-12-01T09:00:00 02:00", datetime(2026, 12, 1, 7, tzinfo=UTC)),
    ],
)
def test_d3_a_moment_is_that_of_the_zone(text, expected):
    found = moment_of(text, zone=BERLIN, now=NOW)
    assert (found, type(found)) == (expected, type(expected))
    assert not isinstance(found, datetime) or found.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        *("", "today", "today(1)", "todays()", "today()+7", "today()+d", "today()7d", "today()++7d", "today()+7days"),
        *("now()+1000000000000min", "today()+9999w9999w", "2026-1-1", "2026-12-01T09:00", "2026-12-01 09:00:00Z"),
        *("today()+1.5d", "today()+٣d", "today()-60y", "now()+75y", "2026-12-01T09:00:00+99:00", "today()\0"),
    ],
)
def test_d3_what_is_no_moment_is_refused(text):
    with pytest.raises(NoMoment):
        moment_of(text, zone=BERLIN, now=NOW)


def test_d3_a_time_without_an_offset_is_nowhere():
    with pytest.raises(NoOffset):
        moment_of("2026-12-01T09:00:00", zone=BERLIN, now=NOW)


def test_d3_days_are_counted_by_the_clock_and_hours_as_they_pass():
    before = instant("2026-03-28T12:00:00+01:00")
    assert moment_of("now()+1d", zone=BERLIN, now=before) == instant("2026-03-29T12:00:00+02:00")
    assert moment_of("now()+24h", zone=BERLIN, now=before) == instant("2026-03-29T13:00:00+02:00")
    before = instant("2026-10-24T12:00:00+02:00")
    assert moment_of("now()+1d", zone=BERLIN, now=before) == instant("2026-10-25T12:00:00+01:00")
    assert moment_of("now()+24h", zone=BERLIN, now=before) == instant("2026-10-25T11:00:00+01:00")


def test_d3_nothing_added_changes_nothing_in_the_hour_that_comes_twice():
    twice = instant("2026-10-25T02:30:00+01:00")
    assert moment_of("now()+0d", zone=BERLIN, now=twice) == twice


def test_d3_a_time_that_clocks_leave_out_is_as_much_later():
    now = instant("2026-03-28T02:30:00+01:00")
    assert moment_of("now()+1d", zone=BERLIN, now=now) == instant("2026-03-29T03:30:00+02:00")


@pytest.mark.parametrize(
    ("zone", "day", "begin", "end"),
    [
        ("UTC", "2026-12-01", "2026-12-01T00:00:00+00:00", "2026-12-02T00:00:00+00:00"),
        ("Europe/Berlin", "2026-03-29", "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00"),
        ("Europe/Berlin", "2026-10-25", "2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00"),
        # Midnight is left out.
        ("Asia/Beirut", "2022-03-27", "2022-03-27T01:00:00+03:00", "2022-03-28T00:00:00+03:00"),
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00"),
        # The hour before midnight comes twice.
        ("America/Sao_Paulo", "2018-02-17", "2018-02-17T00:00:00-02:00", "2018-02-18T00:00:00-03:00"),
        # Midnight comes twice.
        ("America/Havana", "2026-11-01", "2026-11-01T00:00:00-04:00", "2026-11-02T00:00:00-05:00"),
        # The hour before midnight is left out.
        ("America/Nuuk", "2026-03-28", "2026-03-28T00:00:00-02:00", "2026-03-29T00:00:00-01:00"),
        # A day that was skipped is empty.
        ("Pacific/Apia", "2011-12-29", "2011-12-29T00:00:00-10:00", "2011-12-31T00:00:00+14:00"),
        ("Pacific/Apia", "2011-12-30", "2011-12-31T00:00:00+14:00", "2011-12-31T00:00:00+14:00"),
        ("Pacific/Apia", "2011-12-31", "2011-12-31T00:00:00+14:00", "2012-01-01T00:00:00+14:00"),
    ],
)
def test_d3_a_day_begins_and_ends_as_it_does_in_its_zone(zone, day, begin, end):
    assert day_bounds(date.fromisoformat(day), ZoneInfo(zone)) == (instant(begin), instant(end))


@settings(deadline=None)
@given(
    st.sampled_from(ODD_ZONES),
    st.integers(0, 4_102_272_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
)
def test_d3_an_instant_is_in_its_day_and_in_no_other(name, moment):
    zone = ZoneInfo(name)
    day = day_of(moment, zone)
    begin, end = day_bounds(day, zone)
    assert begin <= moment < end
    assert day_bounds(day + timedelta(days=1), zone)[0] == end
