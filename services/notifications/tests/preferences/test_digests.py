"""Digests as a scheduler makes them: one for each local day or week, of what still waits, and none of nothing."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from chassis.clock import utcnow
from chassis.db.transactions import transaction
from chassis.ids import uuid7
from notifications_service.digests.service import make_digests, read_to_send
from notifications_service.inbox.schemas import NewNotification
from notifications_service.inbox.service import notify

PATH = "/api/v1/users/me/notification-preferences"
ZONES = (
    *("Europe/Berlin", "America/New_York", "Australia/Lord_Howe"),
    *("Asia/Kathmandu", "America/Havana", "Pacific/Kiritimati"),
)
DUE = "UPDATE notifications.notification_preference SET digest_at = :at WHERE user_id = ANY(:ids)"
SLOTS = "SELECT period_key, cardinality(notification_ids), rest, id FROM notifications.digest_slot WHERE user_id = :id"
MAILS = "SELECT digest_id FROM notifications.delivery WHERE user_id = :id AND digest_id IS NOT NULL"
AN_HOUR = timedelta(hours=1)


@pytest.fixture
def wishing(api, test_gateway, rows):
    """Somebody who wants digests; the first is due at an instant."""

    async def wishing(first: datetime, **digest):
        user_id = uuid7()
        body = {"preferences": [], "digest": {"frequency": "daily", "at": "08:00", "tz": "UTC", **digest}}
        assert (await api.put(PATH, json=body, headers=test_gateway.headers(user_id))).status_code == 200
        await rows(DUE, at=first, ids=[user_id])
        return user_id

    return wishing


@pytest.fixture
def tell_of(database):
    """Tells somebody of as many things that wait for the digest."""

    async def tell_of(user_id: UUID, count: int = 1, kind: str = "commented", **about):
        wanted = [
            NewNotification(user_id=user_id, kind=kind, event_id=uuid7(), event_type="comment.created.v1", **about)
            for _ in range(count)
        ]
        async with transaction(database) as session:
            return await notify(session, wanted=wanted)

    return tell_of


@pytest.fixture
def make(database):
    async def make(now: datetime):
        async with transaction(database) as session:
            return await make_digests(session, now=now)

    return make


@pytest.fixture
def told(database):
    async def told(digest_id: UUID):
        async with transaction(database) as session:
            return (await read_to_send(session, digest_ids=[digest_id])).get(digest_id)

    return told


async def test_k2_a_digest_tells_of_what_waits_and_is_sent_once(wishing, tell_of, make, rows, told, clean):
    now = utcnow()
    # Far from now, so that an hour later no second one is due, whenever the test runs.
    user_id = await wishing(now, at=f"{(now.hour + 12) % 24:02}:00")
    assert await tell_of(user_id, 3) == 3
    await tell_of(user_id, 2, kind="assigned")
    for _ in range(3):
        await make(now)
        await make(now + AN_HOUR)
    ((_, count, rest, digest_id),) = await rows(SLOTS, id=user_id)
    assert (count, rest) == (3, 0)
    assert await rows(MAILS, id=user_id) == [(digest_id,)]
    found = await told(digest_id)
    assert [row["kind"] for row in found.rows] == ["commented"] * 3
    assert found.rest == 0


async def test_k2_of_nothing_there_is_no_mail_and_the_next_tells_what_came_since(wishing, tell_of, make, rows, clean):
    now = utcnow()
    user_id = await wishing(now)
    await make(now)
    assert await rows(MAILS, id=user_id) == []
    await tell_of(user_id, 2)
    await make(now + timedelta(days=1))
    await make(now + timedelta(days=2))
    assert [row[1] for row in sorted(await rows(SLOTS, id=user_id))] == [0, 2, 0]
    assert len(await rows(MAILS, id=user_id)) == 1


async def test_k2_at_most_fifty_are_told_the_latest_and_how_many_more(wishing, tell_of, make, rows, told, clean):
    now = utcnow()
    user_id = await wishing(now)
    await tell_of(user_id, 57)
    await make(now)
    ((_, count, rest, digest_id),) = await rows(SLOTS, id=user_id)
    assert (count, rest) == (50, 7)
    seqs = [row["seq"] for row in (await told(digest_id)).rows]
    assert seqs == list(range(57, 7, -1))


async def test_k2_what_is_read_or_out_of_sight_meanwhile_is_told_no_more(
    wishing, tell_of, make, rows, told, feed, world, clean
):
    now = utcnow()
    user_id = await wishing(now)
    await feed.keep(world.joins(user_id))
    await tell_of(user_id, 1, workspace_id=world.id)
    await tell_of(user_id, 2)
    await make(now)
    ((_, count, _, digest_id),) = await rows(SLOTS, id=user_id)
    assert count == 3
    await rows("UPDATE notifications.notification SET read_at = now() WHERE user_id = :id AND seq = 2", id=user_id)
    await feed.keep(world.leaves(user_id))
    assert [row["seq"] for row in (await told(digest_id)).rows] == [3]
    await rows("UPDATE notifications.notification SET archived_at = now() WHERE user_id = :id", id=user_id)
    assert await told(digest_id) is None


async def test_k2_what_is_out_of_sight_when_it_is_made_is_not_in_it(wishing, tell_of, make, rows, feed, world, clean):
    now = utcnow()
    user_id = await wishing(now)
    await feed.keep(world.joins(user_id))
    await tell_of(user_id, 2, workspace_id=world.id)
    await feed.keep(world.leaves(user_id))
    await make(now)
    assert [row[1:3] for row in await rows(SLOTS, id=user_id)] == [(0, 0)]
    assert await rows(MAILS, id=user_id) == []


async def test_k2_many_schedulers_at_once_make_one_digest_of_each(wishing, tell_of, make, rows, clean):
    now = utcnow()
    users = [await wishing(now) for _ in range(12)]
    for user_id in users:
        await tell_of(user_id, 2)
    await asyncio.gather(*(make(now) for _ in range(20)))
    await make(now)
    for user_id in users:
        assert len(await rows(SLOTS, id=user_id)) == len(await rows(MAILS, id=user_id)) == 1


async def test_k2_a_scheduler_that_dies_before_its_commit_made_nothing(wishing, tell_of, make, rows, database, clean):
    now = utcnow()
    user_id = await wishing(now)
    await tell_of(user_id)
    with pytest.raises(RuntimeError):
        async with transaction(database) as session:
            await make_digests(session, now=now)
            raise RuntimeError
    assert await rows(SLOTS, id=user_id) == []
    await make(now)
    assert len(await rows(MAILS, id=user_id)) == 1


@pytest.mark.parametrize(("late", "count"), [(timedelta(hours=23), 1), (timedelta(hours=25), 0)])
async def test_k2_after_an_outage_a_weekly_one_is_a_day_late_at_most(wishing, tell_of, make, rows, late, count, clean):
    due = datetime(2026, 11, 23, 8, tzinfo=UTC)
    user_id = await wishing(due, frequency="weekly", day="mon")
    await tell_of(user_id)
    await make(due + late)
    assert len(await rows(SLOTS, id=user_id)) == count
    next_at = "SELECT digest_at FROM notifications.notification_preference WHERE user_id = :id"
    assert await rows(next_at, id=user_id) == [(due + timedelta(days=7),)]


async def test_k2_after_days_of_outage_there_is_one_and_not_one_for_each_day(wishing, tell_of, make, rows, clean):
    due = datetime(2026, 11, 20, 8, tzinfo=UTC)
    user_id = await wishing(due)
    await tell_of(user_id)
    await make(due + timedelta(days=4, hours=1))
    assert [row[0] for row in await rows(SLOTS, id=user_id)] == ["2026-11-24"]


async def test_k2_another_hour_or_zone_brings_no_second_digest_of_the_same_day(
    wishing, tell_of, make, rows, api, test_gateway, clean
):
    due = datetime(2026, 11, 24, 8, tzinfo=UTC)
    user_id = await wishing(due)
    await tell_of(user_id)
    await make(due)
    body = {"preferences": [], "digest": {"frequency": "daily", "at": "09:30", "tz": "UTC"}}
    await api.put(PATH, json=body, headers=test_gateway.headers(user_id))
    await rows(DUE, at=due + timedelta(minutes=90), ids=[user_id])
    await tell_of(user_id)
    await make(due + timedelta(minutes=91))
    assert [row[:2] for row in await rows(SLOTS, id=user_id)] == [("2026-11-24", 1)]
    await make(due + timedelta(hours=26))
    assert sorted(row[:2] for row in await rows(SLOTS, id=user_id)) == [("2026-11-24", 1), ("2026-11-25", 1)]


@pytest.mark.parametrize(
    ("first", "days"), [(datetime(2026, 3, 5, tzinfo=UTC), 35), (datetime(2026, 10, 1, tzinfo=UTC), 35)]
)
async def test_k2_hour_by_hour_over_the_changes_of_all_clocks_each_day_and_week_has_one(
    wishing, database, rows, first, days, clean
):
    """The rules alone are taken through whole years in test_digest_rules; this is the whole of it with the database."""
    daily = [await wishing(first, tz=zone, at="02:30") for zone in ZONES]
    weekly = [await wishing(first, tz=zone, at="02:30", frequency="weekly", day="wed") for zone in ZONES]
    async with transaction(database) as session:
        for hour in range(days * 24):
            await make_digests(session, now=first + hour * AN_HOUR)
    for users, period in ((daily, 1), (weekly, 7)):
        for user_id in users:
            keys = sorted(row[0] for row in await rows(SLOTS, id=user_id))
            assert len(keys) == len(set(keys))
            # Where the zone is on the first and the last hour makes one more or less.
            assert abs(len(keys) - days // period) <= 1


async def test_k2_of_who_is_gone_no_digest_is_left(wishing, tell_of, make, rows, tell, told_of, clean):
    now = utcnow()
    user_id = await wishing(now)
    await tell_of(user_id)
    await make(now)
    await tell(told_of("user.deleted.v1", user_id, 9, {"id": str(user_id)}))
    assert await rows(SLOTS, id=user_id) == []
    assert await rows("SELECT 1 FROM notifications.stream_event WHERE workspace_id = :id", id=user_id) == []
    assert await make(now + timedelta(days=1)) is False
    assert await rows(SLOTS, id=user_id) == []
