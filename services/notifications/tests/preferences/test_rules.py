"""Which line holds, and when quiet hours end: whatever the clocks do."""

from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from notifications_service.kinds import CHANNELS, KINDS
from notifications_service.preferences.rules import (
    Line,
    Place,
    QuietHours,
    Wishes,
    decisions,
    default_mode,
    due_time,
    first_instant,
    mode_of,
    moved_instant,
    window,
    without_mail,
)

WORKSPACE, OTHER, PROJECT = (UUID(int=number) for number in (1, 2, 3))
HERE = Place(WORKSPACE, PROJECT)
EVERY_DAY = frozenset(range(7))
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu", "UTC")
NEAR_CHANGES = [
    datetime(2026, 3, 29, tzinfo=UTC),
    datetime(2026, 10, 25, tzinfo=UTC),
    datetime(2026, 3, 8, tzinfo=UTC),
    datetime(2026, 11, 1, tzinfo=UTC),
    datetime(2026, 4, 4, tzinfo=UTC),
    datetime(2026, 10, 3, tzinfo=UTC),
    datetime(2011, 12, 30, tzinfo=UTC),
]
"""Both changes of Berlin, New York and Lord Howe, and the day that Apia left out."""


def quiet(begins, ends, zone="Europe/Berlin", days=EVERY_DAY, **more):
    return QuietHours(ZoneInfo(zone), time.fromisoformat(begins), time.fromisoformat(ends), days, **more)


def at(text, zone="Europe/Berlin", fold=0):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)


def test_k2_what_holds_for_who_has_said_nothing():
    modes = {(kind, channel): default_mode(kind, channel) for kind in KINDS for channel in CHANNELS}
    assert {mode for (_, channel), mode in modes.items() if channel == "inbox"} == {"instant"}
    at_once = {kind for kind in KINDS if modes[kind, "email"] == "instant"}
    assert at_once == {"mentioned", "assigned", "replied", "reminder", "webhook_disabled", "channel_disabled"}
    assert {modes[kind, "email"] for kind in KINDS if kind not in at_once} == {"digest"}
    pressing = {"mentioned", "assigned", "replied", "reminder", "due_soon", "overdue"}
    for channel in ("chat", "push"):
        assert {kind for kind in KINDS if modes[kind, channel] == "instant"} == pressing
        assert {modes[kind, channel] for kind in KINDS if kind not in pressing} == {"off"}


def mail(kind, mode, place=None):
    """A line about mail, for everywhere, a workspace or a project."""
    scope = "all" if place is None else "project" if place == PROJECT else "workspace"
    return Line(kind, "email", scope, place, mode)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], "digest"),
        ([mail("*", "off")], "off"),
        ([mail("*", "off"), mail("commented", "instant")], "instant"),
        ([mail("commented", "off"), mail("*", "instant", WORKSPACE)], "instant"),
        ([mail("commented", "off", WORKSPACE), mail("*", "instant", PROJECT)], "instant"),
        ([mail("*", "instant", PROJECT), mail("commented", "off", PROJECT)], "off"),
        ([mail("*", "instant", OTHER)], "digest"),
        ([mail("assigned", "off")], "digest"),
        ([Line("*", "push", "all", None, "instant")], "digest"),
    ],
)
def test_k2_the_most_specific_line_wins_the_place_before_the_kind(lines, expected):
    for ordered in (lines, lines[::-1]):
        assert mode_of(ordered, kind="commented", channel="email", place=HERE) == expected


def test_k2_mail_that_is_turned_off_is_off_everywhere_and_nothing_else_changes():
    lines = [
        mail("*", "instant"),
        mail("commented", "instant", WORKSPACE),
        mail("*", "instant", PROJECT),
        Line("commented", "push", "all", None, "instant"),
    ]
    places = [Place(), Place(WORKSPACE), HERE, Place(OTHER)]
    without_comments, without_any = without_mail(lines, "commented"), without_mail(lines, "*")
    for place in places:
        assert mode_of(without_comments, kind="commented", channel="email", place=place) == "off"
        assert mode_of(without_comments, kind="assigned", channel="email", place=place) == "instant"
        assert mode_of(without_comments, kind="commented", channel="push", place=place) == "instant"
        assert {mode_of(without_any, kind=kind, channel="email", place=place) for kind in KINDS} == {"off"}
    assert without_mail(without_comments, "commented") == without_comments


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("2026-06-10T21:59:59", "2026-06-10T21:59:59"),
        ("2026-06-10T22:00:00", "2026-06-11T07:00:00"),
        ("2026-06-11T03:00:00", "2026-06-11T07:00:00"),
        ("2026-06-11T06:59:59", "2026-06-11T07:00:00"),
        ("2026-06-11T07:00:00", "2026-06-11T07:00:00"),
    ],
)
def test_k2_quiet_hours_past_midnight_end_in_the_morning(now, due):
    assert due_time(quiet("22:00", "07:00"), now=at(now)) == at(due)


def test_k2_quiet_hours_are_of_the_day_that_they_begin_on():
    friday_nights = quiet("22:00", "07:00", days=frozenset({4}))
    assert due_time(friday_nights, now=at("2026-06-13T05:00:00")) == at("2026-06-13T07:00:00")
    for awake in ("2026-06-12T05:00:00", "2026-06-13T23:00:00"):
        assert due_time(friday_nights, now=at(awake)) == at(awake)


def test_k2_quiet_hours_that_follow_each_other_are_as_one():
    weekend = quiet("00:00", "23:59", days=frozenset({5, 6}))
    assert due_time(weekend, now=at("2026-06-13T10:00:00")) == at("2026-06-13T23:59:00")
    night = quiet("23:00", "22:59", days=EVERY_DAY)
    assert due_time(night, now=at("2026-06-10T10:00:00")) == at("2026-06-10T22:59:00")


@pytest.mark.parametrize(
    ("now", "begins", "ends", "due"),
    [
        # Forward at 02:00: the night is an hour shorter, and what is left out is over when the clocks are changed.
        ("2026-03-29T01:30:00", "22:00", "07:00", "2026-03-29T07:00:00"),
        ("2026-03-29T01:30:00", "22:00", "02:30", "2026-03-29T03:00:00"),
        # Back at 03:00: of what comes twice the first counts.
        ("2026-10-25T01:30:00", "22:00", "02:30", "2026-10-25T02:30:00"),
    ],
)
def test_k2_quiet_hours_where_clocks_change(now, begins, ends, due):
    assert due_time(quiet(begins, ends), now=at(now)) == at(due)


def test_k2_a_day_that_is_left_out_ends_and_begins_in_one_moment():
    apia = quiet("22:00", "07:00", zone="Pacific/Apia")
    assert window(apia, date(2011, 12, 29))[1] == at("2011-12-31T00:00:00", "Pacific/Apia")
    assert due_time(apia, now=at("2011-12-29T23:00:00", "Pacific/Apia")) == at("2011-12-31T07:00:00", "Pacific/Apia")


@pytest.mark.parametrize(("day", "zone"), [(date(2026, 10, 25), "Europe/Berlin"), (date(2011, 12, 30), "Pacific/Apia")])
@pytest.mark.parametrize("instant", [first_instant, moved_instant])
def test_k2_a_time_of_day_is_the_first_of_two_whatever_its_fold(day, zone, instant):
    found = [instant(day, time(2, 30, fold=fold), ZoneInfo(zone)) for fold in (0, 1)]
    assert found[0] == found[1]


def test_k2_quiet_hours_hold_back_mail_chat_and_push_and_what_is_urgent_where_that_is_wished():
    now, later = at("2026-06-10T23:00:00"), at("2026-06-11T07:00:00")
    for bypass, urgent, due in ((False, True, later), (True, False, later), (True, True, now)):
        wishes = Wishes((), quiet("22:00", "07:00", urgent_bypass=bypass))
        found = decisions(wishes, kind="reminder", place=Place(), urgent=urgent, now=now)
        assert {channel: one.due_at for channel, one in found.items()} == {
            "inbox": now,
            "email": due,
            "chat": due,
            "push": due,
        }


TIMES = st.times().map(lambda one: one.replace(second=0, microsecond=0))


@settings(max_examples=400, deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    begins=TIMES,
    ends=TIMES,
    days=st.frozensets(st.integers(0, 6), min_size=1),
    base=st.sampled_from(NEAR_CHANGES),
    minutes=st.integers(-3 * 24 * 60, 3 * 24 * 60),
    seconds=st.integers(0, 59),
)
def test_k2_what_is_due_is_never_in_quiet_hours_nor_early_nor_later_than_their_end(
    zone, begins, ends, days, base, minutes, seconds
):
    if begins == ends:
        return
    hours = QuietHours(ZoneInfo(zone), begins, ends, days)
    now = base + timedelta(minutes=minutes, seconds=seconds)
    due = due_time(hours, now=now)
    first = (now - timedelta(days=3)).date()
    windows = [
        window(hours, first + timedelta(days=n)) for n in range(14) if (first + timedelta(days=n)).weekday() in days
    ]
    assert not any(begin <= due < end for begin, end in windows)
    assert due >= now
    # Every moment until then is in quiet hours, so none of it came too late.
    covered = now
    while covered < due:
        covered = max(end for begin, end in windows if begin <= covered < end)
    assert covered == due
