"""Consumers that take what waits at once: each event has one effect and its own outcome, as with any other."""

import asyncio
import random

import pytest
from chassis.broker.batching import BATCH, LONGEST_REST, Batches, Pace
from chassis.broker.consumer import ConsumerRunner, after_commit, batch_consumer
from chassis.broker.port import Message
from pydantic import BaseModel
from sqlalchemy import insert, select
from testkit.sample import EFFECT, INBOX
from testkit.waiting import eventually


class Told(BaseModel):
    number: int


def message_of(event):
    return Message(str(event.event_id), event.type, str(event.stream_id), event.to_json())


async def test_r48_many_events_of_one_stream_have_one_effect_each(database, broker, tasks, make_event):
    """Some come twice, one fails at first, and one is nothing that can be handled: that one alone is dead."""
    name, sizes, announced, failures = broker.queue("effects"), [], [], []
    numbers = range(1, 2 * BATCH)
    events = [make_event(sequence=number) for number in numbers]
    events = [one.model_copy(update={"stream_id": events[0].stream_id}) for one in events]
    broken, failing = events[BATCH - 2], events[BATCH + 8]
    broken.data.pop("number", None)

    @batch_consumer(queue=name, types=["thing.*.v1"])
    async def on_things(taken, session):
        sizes.append(len(taken))
        if broken in taken:
            Told.model_validate({})
        if failing in taken and len(failures) < 3:
            failures.append(len(taken))
            raise RuntimeError("not yet")
        for event in taken:
            values = {"event_id": event.event_id, "stream_id": event.stream_id, "sequence": event.sequence}
            await session.execute(insert(EFFECT).values(**values))
            announced_one = event.sequence

            async def announce(number=announced_one):
                announced.append(number)

            after_commit(session, announce)

    transport, stop = broker.open(), asyncio.Event()
    await transport.declare(on_things.queue)
    sent = [*events, *random.Random(3).sample(events[:30], 10)]
    assert await transport.publish([message_of(one) for one in sent]) == [None] * len(sent)
    tasks(ConsumerRunner(database, INBOX, transport, on_things).run(stop))

    async def settled():
        async with database.reader.connect() as connection:
            found = sorted((await connection.execute(select(EFFECT.c.sequence))).scalars())
        return found == [n for n in numbers if n != broken.sequence] and await transport.dead(name) == 1

    await eventually(settled)
    assert max(sizes) > 1
    assert sorted(announced) == [n for n in numbers if n != broken.sequence]
    assert len(failures) == 3
    stop.set()


async def test_r48_one_that_hangs_takes_no_others_of_its_batch_along(database, broker, tasks, make_event):
    name, events = broker.queue("effects"), [make_event(sequence=number) for number in range(1, 11)]
    hanging = events[4]

    @batch_consumer(queue=name, types=["thing.*.v1"])
    async def on_things(taken, session):
        if hanging in taken:
            await asyncio.Event().wait()
        for event in taken:
            values = {"event_id": event.event_id, "stream_id": event.stream_id, "sequence": event.sequence}
            await session.execute(insert(EFFECT).values(**values))

    transport, stop = broker.open(), asyncio.Event()
    await transport.declare(on_things.queue)
    await transport.publish([message_of(one) for one in events])
    tasks(ConsumerRunner(database, INBOX, transport, on_things, handler_seconds=2.0).run(stop))

    async def settled():
        async with database.reader.connect() as connection:
            found = sorted((await connection.execute(select(EFFECT.c.sequence))).scalars())
        return len(found) + await transport.dead(name) >= len(events)

    await eventually(settled)
    assert await transport.dead(name) == 1
    stop.set()


async def test_while_a_batch_is_worked_on_the_next_one_gathers():
    gate, sizes = asyncio.Event(), []

    async def together(pieces):
        sizes.append(len(pieces))
        await gate.wait()
        return [str(one) for one in pieces]

    batches = Batches(together)
    first = asyncio.create_task(batches.work(0))

    async def begun():
        return sizes == [1]

    await eventually(begun)
    others = [asyncio.create_task(batches.work(number)) for number in range(1, BATCH + 19)]
    given_up = asyncio.create_task(batches.work(999))
    await asyncio.sleep(0)
    given_up.cancel()
    gate.set()
    assert await asyncio.gather(first, *others) == [str(number) for number in range(BATCH + 19)]
    assert sizes == [1, BATCH, 18]


async def test_what_fails_together_fails_for_each():
    async def together(_pieces):
        raise RuntimeError("no")

    batches = Batches(together)
    outcomes = await asyncio.gather(*(batches.work(number) for number in range(3)), return_exceptions=True)
    assert [str(one) for one in outcomes] == ["no"] * 3


async def test_batches_that_take_long_follow_each_other_more_slowly_up_to_a_tenth_of_a_second():
    loop, pace, idle = asyncio.get_running_loop(), Pace(0.001), Pace(0)
    before = loop.time()
    pace.begin()
    idle.begin()
    while loop.time() < before + 0.01:
        await asyncio.sleep(0)
    pace.end(is_full=False)
    idle.end(is_full=False)
    assert before + 0.03 <= pace.next_at <= loop.time() + LONGEST_REST
    assert idle.next_at <= loop.time()
    pace.end(is_full=True)
    assert pace.next_at <= loop.time()


@pytest.fixture
def gathering():
    """Batches that begin so far apart, and the sizes of those that were worked on."""

    def gathering(seconds):
        sizes = []

        async def together(pieces):
            sizes.append(len(pieces))
            return [str(one) for one in pieces]

        return Batches(together, gather_seconds=seconds), sizes

    return gathering


async def test_what_comes_soon_after_a_batch_gathers_until_there_is_a_full_one(gathering):
    batches, sizes = gathering(3600)
    assert await batches.work(0) == "0"
    some = [asyncio.create_task(batches.work(number)) for number in range(1, BATCH)]
    done, _ = await asyncio.wait(some, timeout=0.05)
    assert (sizes, done) == ([1], set())
    last = asyncio.create_task(batches.work(BATCH))
    assert await asyncio.gather(*some, last) == [str(number) for number in range(1, BATCH + 1)]
    assert sizes == [1, BATCH]


async def test_what_comes_soon_after_a_batch_gathers_until_it_is_time(gathering):
    batches, sizes = gathering(0.5)
    assert await batches.work(0) == "0"
    first = asyncio.create_task(batches.work(1))
    done, _ = await asyncio.wait([first], timeout=0.01)
    assert (sizes, done) == ([1], set())
    assert await asyncio.gather(first, batches.work(2)) == ["1", "2"]
    assert sizes == [1, 2]
