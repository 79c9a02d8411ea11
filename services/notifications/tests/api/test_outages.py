"""While Redis or the database is away nothing is lost, and afterwards everything is as before."""

import json
import os
import signal

import pytest
import websockets
from chassis.broker.streams import StreamsTransport
from chassis.ids import uuid7
from notifications_service.wake_ups import CHANNEL
from redis.asyncio import Redis
from testkit.waiting import eventually


@pytest.fixture
async def apart(start, consuming, database, valkey_url, own_valkey):
    """An API and a worker whose wake-ups go through a Redis of their own; the broker is elsewhere."""
    transport = StreamsTransport(valkey_url, prefix=f"t{uuid7().hex}")
    async with start(redis_url=own_valkey.url) as service, consuming(database, transport, own_valkey.url) as feed:
        yield service, feed
    await transport.close()


async def listeners(server):
    async with Redis.from_url(server.url) as client:
        ((_, count),) = await client.pubsub_numsub(CHANNEL)
    return count


async def test_while_redis_is_away_delivery_goes_on(apart, own_valkey, world):
    service, feed = apart
    ann, new = uuid7(), uuid7()
    await feed.keep(world.joins(ann))
    async with service.reading(ann) as reader, service.reading(new) as other:
        own_valkey.kill()
        for _ in range(3):
            await feed.keep(event := world.task())
            assert (await reader.frame())["seq"] == event.sequence
        await feed.keep(world.joins(new))
        assert (await other.frame())["type"] == "member.added"
        assert (await reader.frame())["type"] == "member.added"
        own_valkey.start()

        async def listening():
            return await listeners(own_valkey) == 1

        await eventually(listening)
        # Each within the deadline, which is shorter than the time between two looks: by wake-ups again.
        for _ in range(3):
            await feed.keep(event := world.task())
            assert (await reader.frame())["seq"] == event.sequence
            assert (await other.frame())["seq"] == event.sequence
        assert await reader.is_idle()


async def test_a_redis_that_hangs_holds_nothing_up(apart, own_valkey, world):
    service, feed = apart
    ann = uuid7()
    await feed.keep(world.joins(ann))
    async with service.reading(ann) as reader:
        os.killpg(own_valkey.process.pid, signal.SIGSTOP)
        try:
            await feed.keep(event := world.task())
            # After two silent seconds a server is taken for lost.
            assert (await reader.frame(seconds=5))["seq"] == event.sequence
            for _ in range(3):
                await feed.keep(event := world.task())
                assert (await reader.frame())["seq"] == event.sequence
        finally:
            os.killpg(own_valkey.process.pid, signal.SIGCONT)
        await feed.keep(event := world.task())
        assert (await reader.frame())["seq"] == event.sequence


async def test_r39_handshake_while_the_database_is_away_503(start, distant_database, lane, test_gateway):
    async with start(through=distant_database) as service:
        await lane.cut()
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(service.url, additional_headers=test_gateway.headers(uuid7()))
        answer = refused.value.response
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert json.loads(answer.body)["errors"][0]["code"] == "SERVICE_UNAVAILABLE"
        await lane.restore()
        async with service.reading(uuid7()) as reader:
            assert await reader.is_idle()


async def test_sockets_survive_while_the_database_is_away(start, distant_database, lane, feed, world, team):
    ann, _ = team
    async with start(through=distant_database) as service, service.reading(ann) as reader:
        await feed.keep(world.task())
        assert (await reader.frame())["seq"] == 3
        await lane.cut()
        await feed.keep(*world.tasks(3))
        assert await reader.is_idle()
        await lane.restore()
        assert [frame["seq"] for frame in await reader.frames(3)] == [4, 5, 6]
        await feed.keep(world.task())
        assert (await reader.frame())["seq"] == 7
        assert await reader.is_idle()


async def test_reading_the_past_while_the_database_goes_away_ends_with_a_resync(
    start, distant_database, lane, long_past, world, team, signer
):
    ann, _ = team
    await long_past(300)
    async with start(through=distant_database) as service:
        reader = await service.open(ann, signer.position({world.id: 2}), max_queue=1)
        await reader.ready()
        taken = await reader.frames(1)
        await lane.cut()
        while taken[-1]["type"] != "resync_required":
            taken.append(await reader.frame())
        assert await reader.closed() == (1013, "store unavailable")
        await lane.restore()
        async with service.reading(ann, taken[-1]["cursor"]) as again:
            rest = await again.until_seq(300)
        assert [frame["seq"] for frame in taken[:-1] + rest] == list(range(3, 301))
