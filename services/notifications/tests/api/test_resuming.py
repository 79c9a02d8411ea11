"""Cursors: whoever comes again misses nothing, sees nothing twice, and hears when too much is gone."""

import asyncio
from datetime import timedelta

import pytest
from chassis.clock import utcnow
from chassis.db.transactions import transaction
from chassis.ids import uuid7
from notifications_service.scheduler import jobs
from notifications_service.wake_ups import CHANNEL, WakeUp
from redis.asyncio import Redis


async def test_without_a_cursor_only_what_comes_after(service, world, team, feed, signer):
    ann, _ = team
    await feed.keep(*world.tasks(3))
    reader = await service.open(ann)
    assert signer.read_position(await reader.ready()) == {world.id: 5, ann: 0}
    await feed.keep(world.task("new"))
    assert (await reader.frame())["data"]["title"] == "new"
    assert await reader.is_idle()
    await reader.socket.close()


async def test_the_cursor_of_each_frame_goes_on_exactly_after_it(service, world, team, feed):
    ann, _ = team
    reader = await service.open(ann)
    cursors = [await reader.ready()]
    await feed.keep(*world.tasks(6))
    cursors += [frame["cursor"] for frame in await reader.frames(6)]
    await reader.socket.close()
    for gone, cursor in enumerate(cursors):
        async with service.reading(ann, cursor) as again:
            assert [frame["seq"] for frame in await again.frames(6 - gone)] == list(range(3 + gone, 9))
            assert await again.is_idle()


async def test_a_cursor_of_several_workspaces_goes_on_in_each(service, world, feed):
    ann, other = uuid7(), type(world)()
    await feed.keep(world.joins(ann), other.joins(ann))
    reader = await service.open(ann)
    cursor = await reader.ready()
    await reader.socket.close()
    await feed.keep(*world.tasks(2), *other.tasks(3))
    async with service.reading(ann, cursor) as again:
        frames = await again.frames(5)
        assert await again.is_idle()
    for one, count in ((world, 2), (other, 3)):
        mine = [frame["seq"] for frame in frames if frame["workspace_id"] == str(one.id)]
        assert mine == list(range(2, 2 + count))
    async with service.reading(ann, frames[2]["cursor"]) as again:
        rest = await again.frames(2)
        assert [(one["workspace_id"], one["seq"]) for one in rest] == [
            (one["workspace_id"], one["seq"]) for one in frames[3:]
        ]


async def test_a_cursor_of_before_a_workspace_shows_it_from_its_first_day(service, world, feed, signer):
    ann = uuid7()
    await feed.keep(world.task("long ago"), world.joins(ann), world.task("since then"))
    async with service.reading(ann, signer.position({})) as reader:
        assert [frame["seq"] for frame in await reader.frames(2)] == [2, 3]
        assert await reader.is_idle()


async def test_a_cursor_of_a_write_that_is_not_here_yet_waits_for_what_is_after_it(service, world, team, feed, signer):
    ann, _ = team
    ahead, after = world.task(), world.task("after")
    async with service.reading(ann, signer.position({world.id: ahead.sequence})) as reader:
        await feed.keep(ahead, after)
        assert (await reader.frame())["data"]["title"] == "after"
        assert await reader.is_idle()


async def test_anothers_cursor_shows_nothing_of_the_other(service, world, team, feed, signer):
    await feed.keep(world.task())
    async with service.reading(uuid7(), signer.position({world.id: 0})) as stranger:
        await feed.keep(world.task())
        assert await stranger.is_idle()


async def test_coming_again_while_events_pour_in_misses_and_repeats_nothing(service, world, team, feed):
    ann, _ = team
    reader = await service.open(ann)
    cursor = await reader.ready()
    events = world.tasks(150)
    last = events[-1].sequence

    async def pour():
        for start in range(0, len(events), 5):
            await feed.put(*events[start : start + 5])
            await asyncio.sleep(0)

    pouring = asyncio.create_task(pour())
    taken = []
    while not taken or taken[-1] != last:
        for _ in range(11):
            frame = await reader.frame()
            taken.append(frame["seq"])
            cursor = frame["cursor"]
            if taken[-1] == last:
                break
        reader.socket.transport.abort()
        reader = await service.open(ann, cursor)
        await reader.ready()
    await pouring
    assert await reader.is_idle()
    await reader.socket.close()
    assert taken == list(range(3, last + 1))


async def test_whoever_catches_up_is_not_slow_however_much_comes_meanwhile(
    service, world, team, feed, signer, long_past
):
    """The past takes its time, and more than may wait for a slow reader comes before it is through."""
    ann, bob = team
    await long_past(250)
    reader = await service.open(ann, signer.position({world.id: 2}))
    await reader.ready()
    reader.socket.transport.pause_reading()
    async with service.reading(bob) as other:
        more = world.tasks(10, "z" * 60_000)
        await feed.keep(*more)
        assert [frame["seq"] for frame in await other.frames(10)] == list(range(251, 261))
    reader.socket.transport.resume_reading()
    assert [frame["seq"] for frame in await reader.until_seq(260)] == list(range(3, 261))
    await feed.keep(world.task())
    assert (await reader.frame())["seq"] == 261
    assert await reader.is_idle()
    await reader.socket.close()


async def purge(database, replay_days):
    (job,) = (job for job in jobs(replay_days) if job.name == "purge-replay-store")
    async with transaction(database) as session:
        await job.run(session)


async def test_a_cursor_of_before_the_purge_4410(service, world, team, feed, database):
    ann, _ = team
    reader = await service.open(ann)
    cursors = [await reader.ready()]
    old, *recent = world.tasks(3)
    await feed.keep(old.model_copy(update={"occurred_at": utcnow() - timedelta(days=31)}), *recent)
    cursors += [frame["cursor"] for frame in await reader.frames(3)]
    await reader.socket.close()
    await purge(database, 30)
    expired = await service.open(ann, cursors[0])
    await expired.ready()
    assert await expired.closed() == (4410, "cursor expired")
    async with service.reading(ann, cursors[1]) as good:
        assert [frame["seq"] for frame in await good.frames(2)] == [4, 5]


async def test_a_hole_in_what_is_kept_4410(service, world, team, feed, database):
    """Clocks differ a little, so the purge may take an event and leave the one before it."""
    ann, _ = team
    reader = await service.open(ann)
    cursor = await reader.ready()
    await reader.socket.close()
    one, two, three = world.tasks(3)
    await feed.keep(one, two.model_copy(update={"occurred_at": utcnow() - timedelta(days=31)}), three)
    await purge(database, 30)
    again = await service.open(ann, cursor)
    await again.ready()
    assert (await again.frame())["seq"] == one.sequence
    assert await again.closed() == (4410, "cursor expired")


@pytest.fixture
async def wake(valkey_url):
    server = Redis.from_url(valkey_url)

    async def wake(world, head):
        await server.publish(CHANNEL, WakeUp(workspace_id=world.id, head=head, joined=[]).model_dump_json())

    yield wake
    await server.aclose()


async def test_what_a_lagging_replica_does_not_show_yet_is_waited_for(service, world, team, feed, rows, wake):
    """It may show a later event before an earlier one, since they were committed in that order."""
    ann, _ = team
    late, early = world.tasks(2)
    async with service.reading(ann) as reader:
        await feed.keep(early)
        await wake(world, early.sequence)
        assert await reader.is_idle()
        await feed.keep(late)
        assert [frame["seq"] for frame in await reader.frames(2)] == [3, 4]


@pytest.mark.parametrize("nonsense", [b"", b"null", b"{}", b'{"workspace_id": "x", "head": 1, "joined": []}', b"\xff"])
async def test_a_wake_up_that_makes_no_sense_does_not_make_deaf(service, world, team, feed, valkey_url, nonsense):
    ann, _ = team
    async with service.reading(ann) as reader, Redis.from_url(valkey_url) as server:
        assert await server.publish(CHANNEL, nonsense) >= 1
        await feed.keep(world.task())
        assert (await reader.frame())["seq"] == 3
