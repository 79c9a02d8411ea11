"""Followers: every event of a stream once and in order, whoever fails, is killed, or follows beside them."""

import asyncio
import time
from collections import defaultdict
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from chassis.db.transactions import transaction
from chassis.ids import uuid7
from notifications_service.following import repository
from notifications_service.following.rules import delay_after
from notifications_service.following.runner import FollowerRunner
from notifications_service.following.service import CHANNEL, Follower
from sqlalchemy import text
from testkit.statements import statements_seen
from testkit.waiting import eventually

EVENTS = """
    INSERT INTO notifications.stream_event (workspace_id, seq, type, audience, frame, occurred_at)
    SELECT :w, n, 'task.created.v1', '{}', jsonb_build_object('seq', n), now()
    FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS n
"""
HEAD = """
    INSERT INTO notifications.stream_head VALUES (:w, :last)
    ON CONFLICT (workspace_id) DO UPDATE SET contiguous_seq = :last
"""
# An effect that shows how often and in which order: nothing keeps a second one away.
EFFECTS = "CREATE TABLE IF NOT EXISTS notifications_effects (at bigserial, follower text, stream_id uuid, seq bigint)"
EFFECT = text("INSERT INTO notifications_effects (follower, stream_id, seq) VALUES (:f, :s, :n)")


@pytest.fixture
async def effects(rows, clean):
    """Gives what a follower has done in each stream, in the order of its doing."""
    await rows(EFFECTS)

    async def effects(follower):
        query = "SELECT stream_id, seq FROM notifications_effects WHERE follower = :f ORDER BY at"
        found = defaultdict(list)
        for stream, seq in await rows(query, f=follower):
            found[stream].append(seq)
        return dict(found)

    return effects


@pytest.fixture
def grow(rows):
    """Lets a stream grow up to a number, and tells of it as the store does."""
    heights = defaultdict(int)

    async def grow(stream, last, *, tells=True):
        await rows(EVENTS, w=stream, first=heights[stream] + 1, last=last)
        heights[stream] = last
        await rows(HEAD, w=stream, last=last)
        if tells:
            await rows("SELECT pg_notify(:c, :s)", c=CHANNEL, s=f"{stream} {last}")

    return grow


def noting(name, fails=None, **options):
    """Return a follower that notes what it did; `fails` may raise before it does."""

    async def work(session, stream_id, batch):
        for row in batch:
            if fails is not None:
                await fails(session, stream_id, row)
            await session.execute(EFFECT, {"f": name, "s": stream_id, "n": row["seq"]})

    return Follower(name, work, **options)


@asynccontextmanager
async def running(database, *followers, **options):
    stop = asyncio.Event()
    task = asyncio.create_task(FollowerRunner(database, followers, **options).run(stop))
    yield task
    stop.set()
    await asyncio.wait([task])


async def test_a_follower_does_every_event_of_every_stream_once_and_in_order(database, effects, grow):
    streams = [uuid7() for _ in range(3)]
    async with running(database, noting("one", begins="start")):
        for last in (1, 450, 451, 700):
            for stream in streams:
                await grow(stream, last)
        await eventually(lambda: _all(effects("one"), streams, 700))
    assert await effects("one") == {stream: list(range(1, 701)) for stream in streams}


async def _all(found, streams, last):
    done = await found
    return all(done.get(one, [0])[-1] >= last for one in streams)


async def test_a_new_follower_begins_at_the_head_and_a_projection_at_the_beginning(database, effects, grow, rows):
    old, new = uuid7(), uuid7()
    await grow(old, 5)
    async with running(database, noting("late"), noting("whole", begins="start")):
        await eventually(lambda: _all(effects("whole"), [old], 5))
        entered = "SELECT seq FROM notifications.follower_position WHERE follower = 'late' AND stream_id = :s"
        await eventually(lambda: rows(entered, s=old))
        await grow(old, 7)
        await grow(new, 2)
        await eventually(lambda: _all(effects("late"), [new], 2))
        await eventually(lambda: _all(effects("late"), [old], 7))
        await eventually(lambda: _all(effects("whole"), [old], 7))
    assert await effects("late") == {old: [6, 7], new: [1, 2]}
    async with running(database, noting("late")):
        await grow(old, 8)
        await eventually(lambda: _all(effects("late"), [old], 8))
    assert await effects("late") == {old: [6, 7, 8], new: [1, 2]}


async def test_events_beyond_a_gap_wait_for_it(database, effects, grow, rows):
    stream = uuid7()
    async with running(database, noting("gap", begins="start"), poll_seconds=0.05):
        await grow(stream, 3)
        await rows(EVENTS, w=stream, first=5, last=6)
        await rows("SELECT pg_notify(:c, :s)", c=CHANNEL, s=str(stream))
        await eventually(lambda: _all(effects("gap"), [stream], 3))
        await rows(EVENTS, w=stream, first=4, last=4)
        await rows(HEAD, w=stream, last=6)
        await eventually(lambda: _all(effects("gap"), [stream], 6))
    assert await effects("gap") == {stream: [1, 2, 3, 4, 5, 6]}


async def test_what_is_not_kept_any_more_is_passed_over(database, effects, grow, rows):
    gone, part = uuid7(), uuid7()
    await grow(gone, 4)
    await grow(part, 6)
    await rows("DELETE FROM notifications.stream_event WHERE workspace_id = :w", w=gone)
    await rows("DELETE FROM notifications.stream_event WHERE workspace_id = :w AND seq < 5", w=part)
    async with running(database, noting("after", begins="start")):
        await eventually(lambda: _all(effects("after"), [part], 6))
        await grow(gone, 5)
        await eventually(lambda: _all(effects("after"), [gone], 5))
    assert await effects("after") == {gone: [5], part: [5, 6]}


async def test_a_follower_that_nobody_wakes_looks_by_itself(database, effects, grow):
    stream = uuid7()
    async with running(database, noting("deaf", begins="start"), poll_seconds=0.1):
        for last in (1, 2):
            await grow(stream, last, tells=False)
            await eventually(lambda last=last: _all(effects("deaf"), [stream], last))
    assert await effects("deaf") == {stream: [1, 2]}


async def test_what_goes_on_soon_after_a_round_gathers_until_it_is_time(database, effects, grow):
    """The first round after a rest begins at once; one whose next would be in an hour ends when it is told to."""
    stream = uuid7()
    rare, seldom, often = noting("rare", gather_seconds=3600), noting("seldom", gather_seconds=0.5), noting("often")
    async with running(database, *(replace(one, begins="start") for one in (rare, seldom, often)), poll_seconds=0.05):
        await grow(stream, 1)
        for name in ("rare", "seldom", "often"):
            await eventually(lambda name=name: _all(effects(name), [stream], 1))
        for last in range(2, 6):
            await grow(stream, last)
        for name in ("often", "seldom"):
            await eventually(lambda name=name: _all(effects(name), [stream], 5))
    assert await effects("rare") == {stream: [1]}
    assert await effects("seldom") == await effects("often") == {stream: [1, 2, 3, 4, 5]}


@pytest.mark.parametrize(("are_together", "count", "length"), [(False, 5, 300), (True, 30, 100)])
async def test_runners_that_are_killed_again_and_again_do_nothing_twice_and_miss_nothing(
    database, effects, grow, are_together, count, length
):
    """Whatever moment it is cut at: an effect and the position move together, or neither does."""
    name, streams = f"killed-{count}", [uuid7() for _ in range(count)]
    for stream in streams:
        await grow(stream, length)

    def follower(*meanwhile):
        return together(name, *meanwhile) if are_together else noting(name, *meanwhile, begins="start")

    async def slowly(session, stream_id, row):
        if row["seq"] % 40 == 0:
            await session.execute(text("SELECT pg_sleep(0.002)"))

    for _ in range(15):
        async with running(database, follower(slowly)) as task:
            await asyncio.sleep(0.03)
            task.cancel()
    async with running(database, follower()):
        await eventually(lambda: _all(effects(name), streams, length))
    assert await effects(name) == {stream: list(range(1, length + 1)) for stream in streams}


async def test_two_hundred_streams_at_once_and_two_runners(database, effects, grow):
    streams = [uuid7() for _ in range(200)]
    both = [noting("shared", begins="start") for _ in range(2)]
    async with running(database, both[0]), running(database, both[1]):
        for last in (3, 10):
            await asyncio.gather(*(grow(stream, last) for stream in streams))
        await eventually(lambda: _all(effects("shared"), streams, 10))
    assert await effects("shared") == {stream: list(range(1, 11)) for stream in streams}


async def test_thousands_of_events_are_done_in_batches(database, effects, grow):
    stream, sizes = uuid7(), []

    async def work(session, stream_id, batch):
        sizes.append(len(batch))
        await session.execute(EFFECT, [{"f": "many", "s": stream_id, "n": row["seq"]} for row in batch])

    await grow(stream, 5_050)
    async with running(database, Follower("many", work, begins="start")):
        await eventually(lambda: _all(effects("many"), [stream], 5_050))
    assert sizes == [200] * 25 + [50]
    assert await effects("many") == {stream: list(range(1, 5_051))}


async def test_a_batch_costs_one_transaction_of_three_statements_beside_its_work(database, grow, effects):
    stream, done = uuid7(), asyncio.Event()

    async def work(session, stream_id, batch):
        done.set()

    one = Follower("cheap", work, begins="start")
    await grow(stream, 5)
    async with running(database, one):
        await asyncio.wait_for(done.wait(), 60)
    await grow(stream, 205)
    with statements_seen(database.writer) as statements:
        async with running(database, one, poll_seconds=30):
            await eventually(lambda: _position(database, "cheap", stream, 205))
    own = [one for one in statements if "follower_position" in one and "stream_head" in one and "FOR UPDATE" in one]
    assert len(own) == 1
    assert sum("UPDATE notifications.follower_position" in one for one in statements) == 1
    assert sum("FROM notifications.stream_event" in one for one in statements) == 1


async def _position(database, follower, stream, seq):
    query = text("SELECT 1 FROM notifications.follower_position WHERE follower = :f AND stream_id = :s AND seq = :n")
    async with database.reader.connect() as reader:
        return (await reader.execute(query, {"f": follower, "s": stream, "n": seq})).scalar()


def together(name, fails=None, **options):
    """Return a follower that does several streams together, and alone what fails so."""
    alone = noting(name, fails, begins="start", **options)

    async def work(session, rows):
        for row in rows:
            if fails is not None:
                await fails(session, row["workspace_id"], row)
        await session.execute(EFFECT, [{"f": name, "s": row["workspace_id"], "n": row["seq"]} for row in rows])

    return replace(alone, together=work)


async def test_streams_that_go_on_at_the_same_time_are_done_together(database, effects, grow):
    """Twenty streams cost one transaction of three statements, as one does."""
    streams = [uuid7() for _ in range(20)]
    for stream in streams:
        await grow(stream, 1)
    async with running(database, together("joint")):
        await eventually(lambda: _all(effects("joint"), streams, 1))
    for stream in streams:
        await grow(stream, 5, tells=False)
    with statements_seen(database.writer) as statements:
        async with running(database, together("joint"), poll_seconds=30):
            await eventually(lambda: _all(effects("joint"), streams, 5))
    assert sum("follower_position" in one and "FOR UPDATE" in one for one in statements) == 1
    assert sum("UPDATE notifications.follower_position" in one for one in statements) == 1
    assert sum("notifications.stream_event" in one for one in statements) == 1
    assert await effects("joint") == {stream: [1, 2, 3, 4, 5] for stream in streams}


async def test_streams_of_any_length_are_done_together_to_their_ends_and_in_order(database, effects, grow):
    lengths = {uuid7(): length for length in [1, 2, 3, 4, 5, 70, 201, 450] * 12}
    both = [together("uneven") for _ in range(2)]
    await asyncio.gather(*(grow(stream, length) for stream, length in lengths.items()))
    async with running(database, both[0]), running(database, both[1]):
        await eventually(lambda: _ends(effects("uneven"), lengths))
        await asyncio.gather(*(grow(stream, length + 7) for stream, length in lengths.items()))
        await eventually(lambda: _ends(effects("uneven"), {one: last + 7 for one, last in lengths.items()}))
    assert await effects("uneven") == {one: list(range(1, last + 8)) for one, last in lengths.items()}


async def _ends(found, lengths):
    done = await found
    return all(done.get(one, [0])[-1] >= last for one, last in lengths.items())


async def test_an_event_that_fails_holds_none_of_the_streams_back_that_are_done_with_it(
    database, effects, grow, rows, lines
):
    bad, good, broken = uuid7(), [uuid7() for _ in range(9)], [True]

    async def fails(session, stream_id, row):
        if broken and (stream_id, row["seq"]) == (bad, 3):
            await session.execute(text("SELECT 1 / 0"))

    for stream in (bad, *good):
        await grow(stream, 5)
    async with lines() as caught, running(database, together("mixed", fails), poll_seconds=0.05):
        await eventually(lambda: _all(effects("mixed"), good, 5))
        failed = "SELECT 1 FROM notifications.follower_position WHERE stream_id = :s AND failures = 1 AND seq = 2"
        await eventually(lambda: rows(failed, s=bad))
        for stream in (bad, *good):
            await grow(stream, 6)
        await eventually(lambda: _all(effects("mixed"), good, 6))
        broken.clear()
        await rows("UPDATE notifications.follower_position SET retry_at = now() WHERE stream_id = :s", s=bad)
        await eventually(lambda: _all(effects("mixed"), [bad], 6))
    assert await effects("mixed") == {stream: [1, 2, 3, 4, 5, 6] for stream in (bad, *good)}
    mine = [line["event"] for line in caught if line.get("follower") == "mixed"]
    assert mine[0] == "follower.apart"
    assert mine.count("follower.failed") == 1


async def test_streams_that_do_not_concern_a_follower_are_passed_over_together(database, effects, grow, rows):
    """A hundred streams of users move with each change: they cost no transaction each."""
    quiet, loud, asked = [uuid7() for _ in range(100)], uuid7(), []

    async def concerns(session, parts):
        asked.append(dict(parts))
        return {loud} & parts.keys()

    one = noting("choosy", begins="start", concerns=concerns)
    for stream in (*quiet, loud):
        await grow(stream, 3, tells=False)
    async with running(database, one, poll_seconds=0.1):
        await eventually(lambda: _all(effects("choosy"), [loud], 3))
        at_end = "SELECT count(*) FROM notifications.follower_position WHERE follower = 'choosy' AND seq = :n"

        async def all_at(seq, count):
            return await rows(at_end, n=seq) == [(count,)]

        await eventually(lambda: all_at(3, 101))
        assert [sorted(part) for part in asked[:1]] == [sorted([*quiet, loud])]
        assert set(asked[0].values()) == {(0, 3)}
        await asyncio.gather(*(grow(stream, 5) for stream in (*quiet, loud)))
        await eventually(lambda: all_at(5, 101))
    assert await effects("choosy") == {loud: [1, 2, 3, 4, 5]}


async def test_what_begins_to_concern_a_follower_is_followed_from_then_on(database, effects, grow):
    stream, wanted = uuid7(), set()

    async def concerns(session, parts):
        return wanted & parts.keys()

    async with running(database, noting("later", begins="start", concerns=concerns), poll_seconds=0.05):
        await grow(stream, 2)
        await eventually(lambda: _position(database, "later", stream, 2))
        wanted.add(stream)
        await grow(stream, 4)
        await eventually(lambda: _all(effects("later"), [stream], 4))
    assert await effects("later") == {stream: [3, 4]}


async def test_what_concerns_a_follower_is_asked_when_it_is_time_and_its_own_streams_do_not_wait(
    database, effects, grow
):
    mine, others, asked = uuid7(), [uuid7() for _ in range(3)], defaultdict(list)

    def choosing(name, seconds):
        async def concerns(_session, parts):
            asked[name].append(set(parts))
            return {mine} & parts.keys()

        return noting(name, begins="start", concerns=concerns, ask_seconds=seconds)

    async with running(database, choosing("rarely", 3600), choosing("soon", 0.5), poll_seconds=30):
        await grow(mine, 1)
        for name in ("rarely", "soon"):
            await eventually(lambda name=name: _all(effects(name), [mine], 1))
        for last, one in enumerate(others, 2):
            await grow(one, 1)
            await grow(mine, last)
        for name in ("rarely", "soon"):
            await eventually(lambda name=name: _all(effects(name), [mine], 4))
        for one in others:
            await eventually(lambda one=one: _position(database, "soon", one, 1))
    assert asked["rarely"] == [{mine}]
    assert (asked["soon"][0], set().union(*asked["soon"])) == ({mine}, {mine, *others})


async def test_a_follower_that_can_not_say_what_concerns_it_looks_at_everything(database, effects, grow):
    stream = uuid7()

    async def concerns(session, parts):
        raise KeyError

    await grow(stream, 3)
    async with running(database, noting("unsure", begins="start", concerns=concerns)):
        await eventually(lambda: _all(effects("unsure"), [stream], 3))
    assert await effects("unsure") == {stream: [1, 2, 3]}


async def test_an_event_that_failed_is_tried_again_by_a_runner_that_asks_what_concerns_it(
    database, effects, grow, rows
):
    stream, broken = uuid7(), [True]

    async def fails(session, stream_id, row):
        if broken:
            await session.execute(text("SELECT 1 / 0"))

    async def concerns(session, parts):
        return set(parts)

    one = noting("again", fails, begins="start", concerns=concerns)
    await grow(stream, 2)
    async with running(database, one):
        failed = "SELECT 1 FROM notifications.follower_position WHERE stream_id = :s AND failures > 0"
        await eventually(lambda: rows(failed, s=stream))
    broken.clear()
    await rows("UPDATE notifications.follower_position SET retry_at = now()")
    async with running(database, noting("again", begins="start", concerns=concerns), poll_seconds=0.05):
        await eventually(lambda: _all(effects("again"), [stream], 2))
    assert await effects("again") == {stream: [1, 2]}


async def test_an_event_that_fails_holds_its_own_stream_back_alone_and_is_left_out_after_ten_tries(
    database, effects, grow, rows, lines
):
    bad, good, tries = uuid7(), uuid7(), []

    async def fails(session, stream_id, row):
        if (stream_id, row["seq"]) == (bad, 150):
            tries.append(row["seq"])
            await session.execute(text("SELECT 1 / 0"))

    hurry = "UPDATE notifications.follower_position SET retry_at = now() WHERE stream_id = :s AND failures >= :n"
    failures = "SELECT failures, seq FROM notifications.follower_position WHERE stream_id = :s"
    await grow(bad, 300)
    await grow(good, 300)
    async with lines() as caught, running(database, noting("bad", fails, begins="start"), poll_seconds=0.05):
        await eventually(lambda: _all(effects("bad"), [good], 300))
        for count in range(1, 10):

            async def counted(count=count):
                return await rows(failures, s=bad) == [(count, 149)]

            await eventually(counted)
            assert (await effects("bad"))[bad] == list(range(1, 150))
            await rows(hurry, s=bad, n=count)
        await eventually(lambda: _all(effects("bad"), [bad], 300))
    assert await effects("bad") == {good: list(range(1, 301)), bad: [n for n in range(1, 301) if n != 150]}
    kept = "SELECT follower, stream_id, seq, event_type, reason FROM notifications.follower_failure"
    assert await rows(kept) == [("bad", bad, 150, "task.created.v1", "DBAPIError")]
    assert await rows(failures, s=bad) == [(0, 300)]
    mine = [line for line in caught if line.get("follower") == "bad"]
    assert [line["event"] for line in mine if line["log_level"] == "error"] == ["follower.left_out"]
    # Halved down to the one, step by step, which then is tried alone.
    assert len(tries) <= 10 + 2 * 8


async def test_a_runner_with_nobody_to_follow_waits_to_be_stopped(database):
    """A process ends when any of its work does."""
    stop = asyncio.Event()
    task = asyncio.create_task(FollowerRunner(database, ()).run(stop))
    done, _ = await asyncio.wait([task], timeout=0.2)
    assert not done
    stop.set()
    await asyncio.wait_for(task, 5)


def test_an_event_is_tried_again_for_minutes_and_then_left_out():
    seconds = [None if (delay := delay_after(count)) is None else delay.total_seconds() for count in range(1, 11)]
    assert seconds == [1, 2, 4, 8, 16, 32, 60, 60, 60, None]


async def test_trouble_with_the_database_is_no_failure_of_an_event(lane, distant_database, effects, grow, rows):
    stream = uuid7()
    async with running(distant_database, noting("cut", begins="start"), poll_seconds=0.1):
        await grow(stream, 2)
        await eventually(lambda: _all(effects("cut"), [stream], 2))
        await lane.cut()
        await grow(stream, 4)
        await lane.restore()
        await eventually(lambda: _all(effects("cut"), [stream], 4))
    assert await effects("cut") == {stream: [1, 2, 3, 4]}
    assert await rows("SELECT max(failures) FROM notifications.follower_position") == [(0,)]


async def test_finding_the_streams_with_news_among_ten_thousand_is_one_cheap_statement(database, rows, clean):
    await rows("INSERT INTO notifications.stream_head SELECT gen_random_uuid(), 7 FROM generate_series(1, 10000)")
    async with transaction(database) as session:
        await repository.enter(session, "of many")
    await rows("ANALYZE notifications.stream_head")
    await rows("ANALYZE notifications.follower_position")
    moved = "UPDATE notifications.stream_head SET contiguous_seq = 8 WHERE workspace_id = :w"
    ((one,), (other,)) = await rows("SELECT workspace_id FROM notifications.stream_head LIMIT 2")
    for stream in (one, other):
        await rows(moved, w=stream)
    took = []
    with statements_seen(database.reader) as statements:
        async with database.reader.connect() as reader:
            for _ in range(5):
                began = time.perf_counter()
                assert set(await repository.behind(reader, "of many")) == {one, other}
                took.append(time.perf_counter() - began)
    assert len(statements) == 5
    assert min(took) < 0.1


async def test_a_stream_with_much_in_it_does_not_hold_up_others(database, effects, grow):
    large, other, order = uuid7(), uuid7(), []

    async def work(_session, stream_id, row):
        order.append((stream_id, row["seq"]))
        if (stream_id, row["seq"]) == (large, 1):
            await grow(other, 1)

    await grow(large, 4000)
    async with running(database, noting("one", work, begins="start")):
        await eventually(lambda: _all(effects("one"), [large], 4000))
        await eventually(lambda: _all(effects("one"), [other], 1))
    assert order.index((other, 1)) < order.index((large, 4000))
