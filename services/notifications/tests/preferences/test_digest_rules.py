"""Exactly one digest for each local day or week, whatever the clocks do and whenever somebody looks."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from notifications_service.digests.rules import LATEST, Rhythm, last_slot, next_slot, slot_of, slot_to_make

ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "America/Havana",
    "Pacific/Kiritimati",
)
AN_HOUR = timedelta(hours=1)
NEW_YEAR, YEARS_END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)


def daily(zone, at="08:00"):
    return Rhythm("daily", time.fromisoformat(at), 0, ZoneInfo(zone))


def weekly(zone, weekday=0, at="08:00"):
    return Rhythm("weekly", time.fromisoformat(at), weekday, ZoneInfo(zone))


def local(text, zone):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def simulated(rhythm, *, step=AN_HOUR):
    """Return what a scheduler makes that looks every hour of a year of the zone; what it knows is when to look next."""
    begin, end = (one.replace(tzinfo=rhythm.zone).astimezone(UTC) for one in (NEW_YEAR, YEARS_END))
    now, made = begin, []
    due = next_slot(rhythm, now - timedelta(seconds=1)).due_at
    while now < end + step:
        if now >= due:
            slot = slot_to_make(rhythm, now)
            made += [slot.period_key] if slot and begin <= slot.due_at < end else []
            due = next_slot(rhythm, now).due_at
        now += step
    return made


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("at", ["08:00", "02:30", "00:00", "23:59"])
def test_k2_a_year_has_a_digest_for_each_day(zone, at):
    days = [(date(2026, 1, 1) + timedelta(days=number)).isoformat() for number in range(365)]
    assert simulated(daily(zone, at)) == days


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(("weekday", "count"), [(0, 52), (3, 53), (6, 52)])
def test_k2_a_year_has_a_digest_for_each_week(zone, weekday, count):
    """2026 begins and ends on a Thursday."""
    made = simulated(weekly(zone, weekday, "02:30"))
    assert len(made) == len(set(made)) == count


@pytest.mark.parametrize(
    ("zone", "at", "day", "due"),
    [
        ("Europe/Berlin", "02:30", "2026-03-29", "2026-03-29T03:30:00"),
        ("Europe/Berlin", "02:30", "2026-10-25", "2026-10-25T02:30:00"),
        ("America/New_York", "02:15", "2026-03-08", "2026-03-08T03:15:00"),
        ("Australia/Lord_Howe", "02:15", "2026-10-04", "2026-10-04T02:45:00"),
        ("America/Havana", "00:15", "2026-03-08", "2026-03-08T01:15:00"),
    ],
)
def test_k2_a_time_that_is_left_out_is_later_and_of_two_the_first_counts(zone, at, day, due):
    slot = slot_of(daily(zone, at), date.fromisoformat(day))
    assert (slot.period_key, slot.due_at) == (day, local(due, zone))


def test_k2_of_a_day_that_is_left_out_there_is_no_digest_and_of_its_week_there_is():
    apia = "Pacific/Apia"
    assert slot_of(daily(apia), date(2011, 12, 30)) is None
    after = next_slot(daily(apia), local("2011-12-29T08:00:00", apia))
    assert (after.period_key, after.due_at) == ("2011-12-31", local("2011-12-31T08:00:00", apia))
    friday = slot_of(weekly(apia, 4), date(2011, 12, 30))
    assert (friday.period_key, friday.due_at) == ("2011-W52", local("2011-12-31T08:00:00", apia))


def test_k2_a_digest_is_made_late_for_a_day_and_then_no_more():
    rhythm = weekly("Europe/Berlin")
    due = local("2026-11-23T08:00:00", "Europe/Berlin")
    assert slot_to_make(rhythm, due - timedelta(seconds=1)) is None
    for late in (timedelta(0), timedelta(hours=3), LATEST):
        assert slot_to_make(rhythm, due + late).period_key == "2026-W48"
    assert slot_to_make(rhythm, due + LATEST + timedelta(seconds=1)) is None
    outage = local("2026-11-20T00:00:00", "Europe/Berlin")
    assert slot_to_make(daily("Europe/Berlin"), outage).period_key == "2026-11-19"


@settings(max_examples=300, deadline=None)
@given(
    zone=st.sampled_from([*ZONES, "Pacific/Apia"]),
    at=st.times().map(lambda one: one.replace(second=0, microsecond=0)),
    weekday=st.none() | st.integers(0, 6),
    now=st.datetimes(datetime(2011, 12, 1), datetime(2027, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001 - they get it
)
def test_k2_slots_follow_each_other_in_time_and_the_present_is_between_two(zone, at, weekday, now):
    frequency = "daily" if weekday is None else "weekly"
    rhythm = Rhythm(frequency, at, weekday or 0, ZoneInfo(zone))
    last, following = last_slot(rhythm, now), next_slot(rhythm, now)
    assert last.due_at <= now < following.due_at
    assert last.period_key < following.period_key
    assert next_slot(rhythm, last.due_at) == following
    longest = timedelta(days=2 if weekday is None else 8, hours=1)
    assert following.due_at - last.due_at <= longest
