"""From a committed row to one effect, whatever fails in between."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import pytest
from chassis.background import Background, declare_queues, redrive
from chassis.broker.consumer import ConsumerRunner, after_commit, consumer
from chassis.broker.port import Message, Queue
from chassis.broker.relay import BATCH, STREAM_SHARE, STUCK_AFTER, OutboxRelay, outbox_source
from chassis.broker.streams import StreamsTransport
from chassis.clock import utcnow
from chassis.db.transactions import transaction
from chassis.ids import uuid7
from chassis.outbox.envelope import EventEnvelope, EventTooLarge
from chassis.outbox.publishing import publish, relay_channel
from chassis.settings import BrokerSettings, DatabaseSettings, ProcessSettings
from prometheus_client import REGISTRY
from pydantic import BaseModel, SecretStr
from sqlalchemy import func, insert, select, update
from testkit.sample import EFFECT, INBOX, OUTBOX
from testkit.statements import statements_seen
from testkit.waiting import eventually

WEEK = timedelta(days=7)


def effect_consumer(broker, announced=None):
    @consumer(queue=broker.queue("effects"), types=["thing.*.v1"])
    async def on_thing(event, session):
        values = {"event_id": event.event_id, "stream_id": event.stream_id, "sequence": event.sequence}
        await session.execute(insert(EFFECT).values(**values))
        if announced is not None:

            async def announce():
                announced.append(event.event_id)

            after_commit(session, announce)

    return on_thing


async def effects(database):
    async with database.reader.connect() as connection:
        rows = await connection.execute(select(EFFECT).order_by(EFFECT.c.id))
        return [(row.stream_id, row.sequence) for row in rows]


async def states(database):
    async with database.reader.connect() as connection:
        rows = await connection.execute(select(OUTBOX.c.state, func.count()).group_by(OUTBOX.c.state))
        return {row[0]: row[1] for row in rows}


async def write(database, *events):
    async with transaction(database) as session:
        for event in events:
            await publish(session, OUTBOX, event)


def relay(database, transport):
    return OutboxRelay(database, outbox_source(OUTBOX, service="sample"), transport)


async def test_r45_a_committed_event_arrives_once_and_a_rolled_back_one_never(database, broker, tasks, make_event):
    stop, announced = asyncio.Event(), []
    runner = ConsumerRunner(database, INBOX, broker.open(), effect_consumer(broker, announced))
    tasks(runner.run(stop))
    tasks(relay(database, broker.open()).run(stop))
    event = make_event()
    with pytest.raises(RuntimeError, match="no"):
        async with transaction(database) as session:
            await publish(session, OUTBOX, make_event())
            raise RuntimeError("no")
    await write(database, event)

    async def arrived():
        return await effects(database)

    assert await eventually(arrived) == [(event.stream_id, 1)]

    async def was_announced():
        return announced == [event.event_id]

    await eventually(was_announced)

    async def marked():
        return await states(database) == {"sent": 1}

    await eventually(marked)
    stop.set()


async def test_what_is_sent_whole_is_looked_for_once_and_not_for_what_is_said_of_another_table(
    database, broker, tasks, make_event
):
    """Looking costs as much as sending; what comes meanwhile wakes the relay, and a schema's tables share a channel."""
    stop, stream = asyncio.Event(), uuid7()
    # Without a word of it, which might be heard only when the relay has begun.
    async with transaction(database) as session:
        few = [make_event(stream, number) for number in (1, 2, 3)] + [make_event(uuid7(), 1) for _ in range(40)]
        await session.execute(insert(OUTBOX), [one.model_dump(exclude={"source"}) for one in few])
    transport = broker.open()
    await transport.declare(Queue(broker.queue("few"), ("thing.#",)))

    async def sent(count):
        return await states(database) == {"sent": count}

    with statements_seen(database.writer) as statements:
        tasks(OutboxRelay(database, outbox_source(OUTBOX, service="sample"), transport, poll_seconds=60).run(stop))
        await eventually(lambda: sent(43))
        async with transaction(database) as session:
            await session.execute(select(func.pg_notify(relay_channel(OUTBOX), "elsewhere")))
        await write(database, make_event(stream, 4))
        await eventually(lambda: sent(44))
        async with transaction(database) as session:
            await session.execute(insert(OUTBOX), [make_event(stream, 5).model_dump(exclude={"source"})])
            # As who knows nothing of tables says it.
            await session.execute(select(func.pg_notify(relay_channel(OUTBOX), "")))
        await eventually(lambda: sent(45))
    assert sum("WITH RECURSIVE streams" in one for one in statements) == 3
    stop.set()


@pytest.mark.parametrize(("streams", "of_each"), [(1, 2 * STREAM_SHARE + 5), (BATCH + 5, 1)])
async def test_what_is_left_of_a_stream_or_of_many_is_looked_for_at_once(
    database, broker, tasks, make_event, streams, of_each
):
    stop = asyncio.Event()
    async with transaction(database) as session:
        many = [
            make_event(one, number) for one in (uuid7() for _ in range(streams)) for number in range(1, of_each + 1)
        ]
        await session.execute(insert(OUTBOX), [one.model_dump(exclude={"source"}) for one in many])
    transport = broker.open()
    await transport.declare(Queue(broker.queue("many"), ("thing.#",)))
    tasks(OutboxRelay(database, outbox_source(OUTBOX, service="sample"), transport, poll_seconds=3600).run(stop))

    async def sent():
        return await states(database) == {"sent": len(many)}

    await eventually(sent)
    stop.set()


async def test_events_of_a_stream_arrive_in_order(database, broker, tasks, make_event):
    stop = asyncio.Event()
    streams = [uuid7() for _ in range(4)]
    await write(database, *(make_event(stream, n) for n in range(1, 26) for stream in streams))
    tasks(ConsumerRunner(database, INBOX, broker.open(), effect_consumer(broker)).run(stop))
    tasks(relay(database, broker.open()).run(stop))

    async def all_arrived():
        return len(await effects(database)) == 100

    await eventually(all_arrived, seconds=20)
    found = await effects(database)
    for stream in streams:
        assert [sequence for one, sequence in found if one == stream] == list(range(1, 26))
    stop.set()


async def test_r48_a_message_that_comes_three_times_has_one_effect(database, broker, tasks, make_event):
    stop, transport = asyncio.Event(), broker.open()
    tasks(ConsumerRunner(database, INBOX, broker.open(), effect_consumer(broker)).run(stop))
    event, last = make_event(), make_event()

    def on_the_wire(one):
        return Message(str(one.event_id), one.type, str(event.stream_id), one.to_json())

    async def published():
        wanted = [on_the_wire(event), on_the_wire(event), on_the_wire(event), on_the_wire(last)]
        return await transport.publish(wanted) == [None] * 4

    await transport.declare(Queue(broker.queue("effects"), ("thing.*.v1",)))
    await eventually(published)

    async def last_arrived():
        return (last.stream_id, 1) in await effects(database)

    await eventually(last_arrived)
    assert await effects(database) == [(event.stream_id, 1), (last.stream_id, 1)]
    stop.set()


async def test_r49_a_handler_that_fails_leaves_nothing_and_succeeds_later(database, broker, tasks, make_event):
    stop, failures = asyncio.Event(), []

    @consumer(queue=broker.queue("effects"), types=["thing.*.v1"])
    async def fails_once(event, session):
        values = {"event_id": event.event_id, "stream_id": event.stream_id, "sequence": event.sequence}
        await session.execute(insert(EFFECT).values(**values))
        if not failures:
            failures.append(1)
            raise RuntimeError("the first time")

    tasks(ConsumerRunner(database, INBOX, broker.open(), fails_once).run(stop))
    tasks(relay(database, broker.open()).run(stop))
    event = make_event()
    await write(database, event)

    async def arrived():
        return await effects(database)

    assert await eventually(arrived) == [(event.stream_id, 1)]
    assert failures == [1]
    stop.set()


async def test_r49_what_is_no_event_or_misses_fields_is_dead_at_once(database, broker, tasks, make_event):
    class Wanted(BaseModel):
        colour: str

    @consumer(queue=broker.queue("effects"), types=["thing.*.v1"])
    async def strict(event, _session):
        Wanted.model_validate(event.data)

    stop, transport = asyncio.Event(), broker.open()
    tasks(ConsumerRunner(database, INBOX, broker.open(), strict).run(stop))
    await transport.declare(Queue(broker.queue("effects"), ("thing.*.v1",)))
    event = make_event()
    bodies = [b"not json", b"[]", b'{"specversion":"0.3"}', event.to_json()]
    await transport.publish([Message(str(uuid7()), "thing.made.v1", "k", body) for body in bodies])

    async def all_dead():
        return await transport.dead(broker.queue("effects")) == 4

    await eventually(all_dead)
    async with database.reader.connect() as connection:
        assert (await connection.execute(select(func.count()).select_from(INBOX))).scalar_one() == 0
    stop.set()


async def test_r46_unroutable_events_stay_new_and_go_out_in_order_once_there_is_a_queue(
    database, broker, tasks, make_event
):
    stop, stream = asyncio.Event(), uuid7()
    await write(database, *(make_event(stream, n) for n in (1, 2, 3)))
    tasks(relay(database, broker.open()).run(stop))

    async def tried():
        async with database.reader.connect() as connection:
            return (await connection.execute(select(func.max(OUTBOX.c.attempts)))).scalar_one()

    await eventually(tried)
    assert await states(database) == {"new": 3}
    tasks(ConsumerRunner(database, INBOX, broker.open(), effect_consumer(broker)).run(stop))

    async def all_arrived():
        return len(await effects(database)) == 3

    await eventually(all_arrived, seconds=20)
    assert await effects(database) == [(stream, 1), (stream, 2), (stream, 3)]
    stop.set()


async def test_r46_an_event_refused_20_times_holds_its_stream_until_somebody_takes_it(
    database, broker, tasks, make_event
):
    stop, stream, transport = asyncio.Event(), uuid7(), broker.open()
    await write(database, *(make_event(stream, n) for n in (1, 2)))
    async with database.writer.begin() as connection:
        await connection.execute(update(OUTBOX).where(OUTBOX.c.sequence == 1).values(attempts=STUCK_AFTER - 1))
    tasks(relay(database, transport).run(stop))

    async def attempts():
        async with database.reader.connect() as connection:
            rows = await connection.execute(select(OUTBOX.c.attempts, OUTBOX.c.state).order_by(OUTBOX.c.sequence))
            return [tuple(row) for row in rows]

    async def refused():
        return (await attempts())[0][0] == STUCK_AFTER

    async def reported():
        return REGISTRY.get_sample_value("taskloom_outbox_stuck", {"table": "sample.outbox"}) == 1

    await eventually(refused)
    assert await attempts() == [(STUCK_AFTER, "new"), (0, "new")]
    await eventually(reported)
    await transport.declare(Queue(broker.queue("effects"), ("thing.*.v1",)))
    async with database.writer.begin() as connection:
        await connection.execute(update(OUTBOX).values(available_at=None))

    async def all_sent():
        return await states(database) == {"sent": 2}

    await eventually(all_sent)
    assert await transport.depth(broker.queue("effects")) == 2
    stop.set()


async def test_r46_an_event_that_is_too_large_is_parked_and_its_stream_goes_on(database, broker, tasks, make_event):
    stop, stream, transport = asyncio.Event(), uuid7(), broker.open()
    await transport.declare(Queue(broker.queue("effects"), ("thing.*.v1",)))
    large = make_event(stream, 1).model_copy(update={"data": {"text": "x" * 300_000}})
    await write(database, large, make_event(stream, 2))
    tasks(relay(database, transport).run(stop))

    async def done():
        return await states(database) == {"parked": 1, "sent": 1}

    await eventually(done)
    stop.set()


async def test_r46_a_stream_with_a_backlog_does_not_hold_up_the_others(database, own_streams, tasks, make_event):
    """The streams sort before and after the one with the backlog; each has its turn in every batch."""
    stop, taken = asyncio.Event(), []
    busy, early, late = (UUID(int=number) for number in (2, 1, 3))
    await write(database, *(make_event(busy, n) for n in range(1, 101)))
    await write(database, *(make_event(stream, n) for stream in (early, late) for n in range(1, 26)))
    transport = own_streams
    await transport.declare(Queue("q", ("thing.*.v1",)))

    async def take(one):
        event = EventEnvelope.from_json(one.body)
        taken.append((event.stream_id, event.sequence))

    tasks(relay(database, transport).run(stop))

    async def all_sent():
        return await states(database) == {"sent": 150}

    await eventually(all_sent)
    tasks(transport.consume(Queue("q", ("thing.*.v1",)), take, prefetch=1))

    async def all_taken():
        return len(taken) == 150

    await eventually(all_taken)
    for stream, count in ((busy, 100), (early, 25), (late, 25)):
        assert [sequence for one, sequence in taken if one == stream] == list(range(1, count + 1))
    assert max(taken.index((stream, 25)) for stream in (early, late)) < taken.index((busy, 41))
    stop.set()


async def test_r46_a_commit_wakes_the_relay(database, own_streams, tasks, make_event):
    """It polls once a minute here, so that only the wake-up can be in time."""
    stop, transport = asyncio.Event(), own_streams
    await transport.declare(Queue("q", ("thing.*.v1",)))
    tasks(OutboxRelay(database, outbox_source(OUTBOX, service="sample"), transport, poll_seconds=60).run(stop))

    async def all_sent(count):
        return await states(database) == {"sent": count}

    for count in range(1, 6):
        await write(database, make_event())
        await eventually(lambda count=count: all_sent(count), seconds=5)
    stop.set()


async def test_r47_redrive_goes_through_a_large_outbox_and_takes_what_is_wanted_only(database, own_valkey, make_event):
    transport, began = StreamsTransport(own_valkey.url), utcnow()
    for count in (1_200, 1_200, 5):
        await write(database, *(make_event() for _ in range(count)))
    numbered = select(OUTBOX.c.event_id, func.row_number().over(order_by=OUTBOX.c.event_id).label("n")).subquery()
    first = select(numbered.c.event_id).where(numbered.c.n <= 1_200)
    last = select(numbered.c.event_id).where(numbered.c.n > 2_400)
    async with database.writer.begin() as connection:
        await connection.execute(update(OUTBOX).values(state="sent", sent_at=began))
        await connection.execute(update(OUTBOX).where(OUTBOX.c.event_id.in_(first)).values(sent_at=began - WEEK))
        await connection.execute(update(OUTBOX).where(OUTBOX.c.event_id.in_(last)).values(state="parked", sent_at=None))
    again = OutboxRelay(database, outbox_source(OUTBOX, service="sample"), transport)
    assert await again.send_again() == 5
    assert await states(database) == {"new": 5, "sent": 2_400}
    assert await again.send_again(began) == 1_200
    assert await states(database) == {"new": 1_205, "sent": 1_200}
    await transport.close()


async def test_of_two_relays_one_works_and_the_other_takes_over(database, broker, tasks, make_event):
    first_stop, second_stop = asyncio.Event(), asyncio.Event()
    transport = broker.open()
    await transport.declare(Queue(broker.queue("effects"), ("thing.*.v1",)))
    first = tasks(relay(database, broker.open()).run(first_stop))
    tasks(relay(database, broker.open()).run(second_stop))
    await write(database, make_event())

    async def sent(count):
        return (await states(database)) == {"sent": count}

    await eventually(lambda: sent(1))
    assert await transport.depth(broker.queue("effects")) == 1
    first.cancel()
    await asyncio.wait([first])
    await write(database, make_event())
    await eventually(lambda: sent(2))
    assert await transport.depth(broker.queue("effects")) == 2
    second_stop.set()


async def test_events_written_while_the_broker_is_away_leave_when_it_is_back(
    database, own_valkey, own_streams, tasks, make_event
):
    stop, stream = asyncio.Event(), uuid7()
    transport = own_streams
    await transport.declare(Queue("q", ("thing.*.v1",)))
    tasks(relay(database, transport).run(stop))
    own_valkey.kill()
    await write(database, *(make_event(stream, n) for n in (1, 2, 3)))
    own_valkey.start()

    async def all_sent():
        return (await states(database)) == {"sent": 3}

    await eventually(all_sent, seconds=20)
    assert await transport.depth("q") == 3
    async with database.reader.connect() as connection:
        assert (await connection.execute(select(func.max(OUTBOX.c.attempts)))).scalar_one() == 0
    stop.set()


def test_an_event_survives_the_wire_and_has_a_size_limit(make_event):
    event = make_event()
    assert EventEnvelope.from_json(event.to_json()) == event
    with pytest.raises(EventTooLarge):
        event.model_copy(update={"data": {"text": "x" * 300_000}}).to_json()


@dataclass(frozen=True)
class RedriveSettings:
    """What `redrive` needs of a service's settings."""

    process: ProcessSettings
    database: DatabaseSettings
    broker: BrokerSettings


async def test_r47_redrive_brings_back_parked_events_and_dead_letters(
    database, sample_url, own_valkey, own_streams, tasks, make_event
):
    stop, taken, accept = asyncio.Event(), [], asyncio.Event()
    transport, source = own_streams, outbox_source(OUTBOX, service="sample")
    event = make_event()
    await write(database, event)
    async with database.writer.begin() as connection:
        await connection.execute(update(OUTBOX).values(state="parked"))
    tasks(OutboxRelay(database, source, transport).run(stop))

    @consumer(queue="sample.things", types=["thing.*.v1"])
    async def on_thing(found, _session):
        if not accept.is_set():
            Unmet.model_validate(found.data)
        taken.append(found.event_id)

    await transport.declare(on_thing.queue)
    tasks(ConsumerRunner(database, INBOX, transport, on_thing).run(stop))
    settings = RedriveSettings(
        ProcessSettings(),
        DatabaseSettings(url=SecretStr(sample_url)),
        BrokerSettings(url=SecretStr(own_valkey.url)),
    )
    background = Background("sample", inbox=INBOX, consumers=(on_thing,), sources=(source,))
    assert await redrive(settings, background) == {"sample.things": 0, "outbox": 1}

    async def dead():
        return await transport.dead("sample.things") == 1

    await eventually(dead)
    accept.set()
    assert await redrive(settings, background) == {"sample.things": 1, "outbox": 0}

    async def arrived():
        return taken == [event.event_id] and await states(database) == {"sent": 1}

    await eventually(arrived)
    missed = []

    @consumer(queue="sample.newcomer", types=["thing.*.v1"])
    async def newcomer(found, _session):
        missed.append(found.event_id)

    await transport.declare(newcomer.queue)
    tasks(ConsumerRunner(database, INBOX, transport, newcomer).run(stop))
    nothing, everything = utcnow(), event.occurred_at
    assert (await redrive(settings, background, sent_since=nothing))["outbox"] == 0
    assert (await redrive(settings, background, sent_since=everything))["outbox"] == 1

    async def sent_again():
        return missed == [event.event_id] and await states(database) == {"sent": 1}

    await eventually(sent_again)
    assert taken == [event.event_id]
    stop.set()


async def test_queues_that_are_declared_before_the_first_event_miss_none(
    database, own_valkey, own_streams, tasks, make_event
):
    """Two services install at once: the one that comes up first publishes while the other has no consumer yet."""
    stop, taken = asyncio.Event(), []

    @consumer(queue="sample.late", types=["thing.*.v1"])
    async def late(found, _session):
        taken.append(found.event_id)

    @consumer(queue="sample.early", types=["thing.*.v1"])
    async def early(found, _session):
        """Take it in."""

    source = outbox_source(OUTBOX, service="sample")
    own_valkey.kill()
    broker = BrokerSettings(url=SecretStr(own_valkey.url))
    declaring = tasks(declare_queues(broker, [early.queue, late.queue]))
    own_valkey.start()
    await declaring
    transport = own_streams
    tasks(OutboxRelay(database, source, transport).run(stop))
    tasks(ConsumerRunner(database, INBOX, transport, early).run(stop))
    event = make_event()
    await write(database, event)

    async def sent():
        return await states(database) == {"sent": 1}

    await eventually(sent)
    tasks(ConsumerRunner(database, INBOX, transport, late).run(stop))

    async def arrived():
        return taken == [event.event_id]

    await eventually(arrived)
    stop.set()


class Unmet(BaseModel):
    """What no event of these tests has."""

    missing: str
