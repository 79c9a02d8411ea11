"""Members of a queue's group on a streams broker: what is in somebody's hand stays there, and goes with nobody."""

import asyncio

import pytest
import redis.asyncio as redis
from chassis.broker.batching import BATCH
from chassis.broker.port import Message, Queue
from chassis.broker.scripts import FORGET
from chassis.broker.stream_members import DELIVERY_LIMIT, GROUP, Keys, StreamTiming, run_script
from chassis.broker.streams import StreamsTransport
from chassis.ids import uuid7
from testkit.waiting import eventually

KEYS = Keys("taskloom")
STREAM = KEYS.stream("q")
QUEUE = Queue("q", ("thing.#",))


@pytest.fixture
async def server(own_valkey):
    async with redis.Redis.from_url(own_valkey.url) as found:
        yield found


@pytest.fixture
async def streams(own_valkey):
    """A broker that looks after the dead soon."""
    transport = StreamsTransport(own_valkey.url, timing=StreamTiming(alive=0.6, look=0.05, lost=0.6))
    await transport.declare(QUEUE)
    yield transport
    await transport.close()


async def publish(streams, number=1):
    sent = [Message(str(uuid7()), "thing.made.v1", "k", b"{}") for _ in range(number)]
    assert await streams.publish(sent) == [None] * number


async def names(server):
    return {one["name"]: one["pending"] for one in await server.xinfo_consumers(STREAM, GROUP)}


async def forget(server, name):
    await run_script(server, FORGET, [STREAM, KEYS.alive("q", name)], [GROUP, name])


async def test_r48_a_name_is_forgotten_only_with_nothing_under_it_and_nobody_behind_it(server, streams):
    await publish(streams)
    await server.xreadgroup(GROUP, "has one", {STREAM: ">"}, count=1)
    for name in ("lives", "dead"):
        await server.xgroup_createconsumer(STREAM, GROUP, name)
    await server.set(KEYS.alive("q", "lives"), 1)
    for name in ("has one", "lives", "dead"):
        await forget(server, name)
    assert await names(server) == {b"has one": 1, b"lives": 0}


class Slow:
    """A handler of batches that waits for its gate; `sizes` are those of its batches, `attempts` of its messages."""

    def __init__(self):
        self.gate, self.began = asyncio.Event(), asyncio.Event()
        self.sizes, self.attempts = [], []

    async def __call__(self, messages):
        self.sizes.append(len(messages))
        self.attempts += [one.attempt for one in messages]
        self.began.set()
        await self.gate.wait()
        return [None] * len(messages)


async def test_r48_what_is_finished_by_who_ends_is_nobody_elses(server, streams, tasks):
    await publish(streams)
    handler = Slow()
    ending = tasks(streams.consume_together(QUEUE, handler, gather_seconds=0.01))
    await handler.began.wait()
    (name,) = await names(server)
    ending.cancel()
    # It says on that it lives, until what it has in hand is settled.
    for _ in range(3):
        await server.delete(KEYS.alive("q", name.decode()))
        await eventually(lambda: server.exists(KEYS.alive("q", name.decode())))
    handler.gate.set()
    await asyncio.wait([ending])
    assert await streams.depth("q") == 0


async def test_r48_what_is_in_the_hand_of_who_is_cut_short_as_it_ends_is_taken_over(server, streams, tasks):
    await publish(streams)
    hanging, other = Slow(), Slow()
    ending = tasks(streams.consume_together(QUEUE, hanging, gather_seconds=0.01))
    await hanging.began.wait()
    (name,) = await names(server)
    ending.cancel()
    # It says on that it lives while it waits for what it has in hand.
    await server.delete(KEYS.alive("q", name.decode()))
    await eventually(lambda: server.exists(KEYS.alive("q", name.decode())))
    assert not ending.done()
    ending.cancel()
    await asyncio.wait([ending])
    tasks(streams.consume_together(QUEUE, other, gather_seconds=0.01))
    await asyncio.wait_for(other.began.wait(), 30)
    assert other.attempts == [2]
    for one in (hanging, other):
        one.gate.set()

    async def is_done():
        return await streams.depth("q") == 0

    await eventually(is_done)


async def test_r48_of_what_the_dead_had_no_more_than_a_batch_is_taken_at_once(server, streams, tasks):
    await publish(streams, 3 * BATCH)
    await server.xreadgroup(GROUP, "dead", {STREAM: ">"}, count=2 * BATCH)
    handler = Slow()
    tasks(streams.consume_together(QUEUE, handler, gather_seconds=0.01))
    await handler.began.wait()

    async def is_taken_over():
        return (await names(server)).get(b"dead", 0) < 2 * BATCH

    await eventually(is_taken_over)
    handler.gate.set()

    async def is_done():
        return await streams.depth("q") == 0

    await eventually(is_done)
    assert max(handler.sizes) <= BATCH
    assert sum(handler.sizes) == 3 * BATCH


async def test_r48_what_was_delivered_too_often_is_dead_also_in_a_batch(server, streams, tasks):
    await publish(streams, 2)
    for _ in range(DELIVERY_LIMIT + 1):
        [(_, [(entry, _)])] = (
            await server.xreadgroup(GROUP, "dead", {STREAM: "0"}, count=1)
            if (await names(server)).get(b"dead")
            else await server.xreadgroup(GROUP, "dead", {STREAM: ">"}, count=1)
        )
        await server.xclaim(STREAM, GROUP, "dead", 0, [entry])
    handler = Slow()
    handler.gate.set()
    tasks(streams.consume_together(QUEUE, handler, gather_seconds=0.01))

    async def is_done():
        return await streams.depth("q") == 0 and await streams.dead("q") == 1

    await eventually(is_done)
    assert handler.attempts == [1]
