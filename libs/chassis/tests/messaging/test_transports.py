"""What every transport does; the same tests for RabbitMQ and for Redis streams."""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import redis.asyncio as redis
from chassis.broker.batching import BATCH
from chassis.broker.port import BrokerUnavailable, Message, Queue, Reject, Retry, Unroutable
from chassis.ids import uuid7
from testkit.proxy import proxied
from testkit.topics import matches
from testkit.waiting import eventually

CONSUMER = Path(__file__).parent / "crashing_consumer.py"


def message(event_type="thing.made.v1", key="k", body=b"{}"):
    return Message(str(uuid7()), event_type, key, body)


@pytest.fixture(params=[False, True], ids=["one by one", "together"])
def consume(request):
    """Consumes with a handler of single messages, both ways: one by one, and in batches."""

    async def consume(transport, queue, handler, prefetch=4):
        async def outcome_of(one):
            try:
                await handler(one)
            except (Reject, Retry) as outcome:
                return outcome

        async def handle(messages):
            return [await outcome_of(one) for one in messages]

        if request.param:
            await transport.consume_together(queue, handle, gather_seconds=0)
        else:
            await transport.consume(queue, handler, prefetch=prefetch)

    return consume


async def test_publish_is_confirmed_and_delivered_to_every_bound_queue(broker, tasks, consume):
    transport = broker.open()
    seen = {"a": [], "b": []}
    for name, patterns in (("a", ("thing.*.v1",)), ("b", ("thing.made.v1", "other.#"))):
        queue = Queue(broker.queue(name), patterns)
        await transport.declare(queue)

        async def take(one, name=name):
            seen[name].append((one.id, one.type, one.body))

        tasks(consume(broker.open(), queue, take, prefetch=4))
    sent = [message(body="grüße".encode()), message("thing.lost.v1"), message("other.deep.thing.v1")]
    assert await transport.publish(sent) == [None, None, None]

    async def arrived():
        return len(seen["a"]) == 2 and len(seen["b"]) == 2

    await eventually(arrived)
    assert seen["a"] == [(sent[0].id, "thing.made.v1", "grüße".encode()), (sent[1].id, "thing.lost.v1", b"{}")]
    assert seen["b"] == [(sent[0].id, "thing.made.v1", "grüße".encode()), (sent[2].id, "other.deep.thing.v1", b"{}")]


async def test_r46_an_unroutable_message_is_an_error(broker):
    transport = broker.open()
    await transport.declare(Queue(broker.queue("q"), ("thing.*.v1",)))
    outcomes = await transport.publish([message("nobody.wants.v1", key="other"), message()])
    assert isinstance(outcomes[0], Unroutable)
    assert outcomes[1] is None
    assert await transport.depth(broker.queue("q")) == 1


async def test_r46_an_optional_message_may_go_to_nobody_and_holds_nothing_back(broker):
    transport = broker.open()
    await transport.declare(Queue(broker.queue("q"), ("thing.*.v1",)))
    unwanted = Message(str(uuid7()), "nobody.wants.v1", "k", b"{}", mandatory=False)
    assert await transport.publish([unwanted, message(), replace(message(), mandatory=False)]) == [None] * 3
    assert await transport.depth(broker.queue("q")) == 2


async def test_r46_after_a_failure_the_rest_of_its_key_is_not_sent(broker):
    transport = broker.open()
    await transport.declare(Queue(broker.queue("q"), ("thing.*.v1",)))
    sent = [message(key="a"), message("nobody.wants.v1", key="a"), message(key="a"), message(key="b")]
    outcomes = await transport.publish(sent)
    assert [outcome is None for outcome in outcomes] == [True, False, False, True]
    assert await transport.depth(broker.queue("q")) == 2


async def test_r49_a_failing_message_is_retried_with_back_off_and_then_dead(broker, tasks, consume):
    transport, queue = broker.open(), Queue(broker.queue("q"), ("thing.#",))
    await transport.declare(queue)
    attempts = []

    async def fail(one):
        attempts.append((one.attempt, asyncio.get_running_loop().time()))
        raise Retry("not today")

    tasks(consume(broker.open(), queue, fail, prefetch=4))
    await transport.publish([message()])

    async def is_dead():
        return await transport.dead(queue.name) == 1

    await eventually(is_dead)
    assert [attempt for attempt, _ in attempts] == [1, 2, 3]
    assert attempts[1][1] - attempts[0][1] >= 0.1
    assert attempts[2][1] - attempts[1][1] >= 0.2
    assert await transport.depth(queue.name) == 0


async def test_r49_a_rejected_message_is_dead_at_once_and_comes_back_by_redrive(broker, tasks, consume):
    transport, queue = broker.open(), Queue(broker.queue("q"), ("thing.#",))
    await transport.declare(queue)
    attempts, accept = [], asyncio.Event()

    async def judge(one):
        attempts.append((one.id, one.attempt))
        if not accept.is_set():
            raise Reject("schema: 1 error")

    tasks(consume(broker.open(), queue, judge, prefetch=4))
    sent = message()
    await transport.publish([sent])

    async def is_dead():
        return await transport.dead(queue.name) == 1

    await eventually(is_dead)
    assert attempts == [(sent.id, 1)]
    accept.set()
    assert await transport.redrive(queue.name) == 1

    async def handled_again():
        return len(attempts) == 2

    await eventually(handled_again)
    assert attempts[1] == (sent.id, 1)
    assert await transport.dead(queue.name) == 0


async def test_messages_of_one_key_are_handled_in_order_and_those_of_others_meanwhile(broker, tasks):
    transport, queue = broker.open(), Queue(broker.queue("q"), ("thing.#",))
    await transport.declare(queue)
    order, release = [], asyncio.Event()

    async def take(one):
        if one.key == "slow":
            await release.wait()
        order.append((one.key, one.body))
        if one.key == "quick" and one.body == b"9":
            release.set()

    tasks(broker.open().consume(queue, take, prefetch=32))
    sent = [message(key=key, body=str(n).encode()) for n in range(10) for key in ("slow", "quick")]
    assert await transport.publish(sent) == [None] * 20

    async def all_came():
        return len(order) == 20

    await eventually(all_came)
    digits = [str(n).encode() for n in range(10)]
    assert [body for key, body in order if key == "quick"] == digits
    assert [body for key, body in order if key == "slow"] == digits


async def test_two_consumers_share_the_work_without_doubling_it(broker, tasks, consume):
    transport, queue = broker.open(), Queue(broker.queue("q"), ("thing.#",))
    await transport.declare(queue)
    seen = {"one": [], "two": []}
    for name in seen:

        async def take(one, name=name):
            seen[name].append(one.id)
            await asyncio.sleep(0.002)

        tasks(consume(broker.open(), queue, take, prefetch=2))
    sent = [message(key=str(n)) for n in range(200)]
    await transport.publish(sent)

    async def all_came():
        return len(seen["one"]) + len(seen["two"]) == 200

    await eventually(all_came)
    assert sorted(seen["one"] + seen["two"]) == sorted(one.id for one in sent)


async def test_r48_what_a_killed_consumer_had_in_hand_is_delivered_again(broker, tasks, consume, tmp_path):
    transport, queue = broker.open(), Queue(broker.queue("q"), ("thing.#",))
    await transport.declare(queue)
    sent = message()
    await transport.publish([sent])
    marker = tmp_path / "in-hand"
    process = subprocess.Popen([sys.executable, CONSUMER, broker.name, broker.url, broker.space, queue.name, marker])

    async def in_hand():
        return marker.exists()

    await eventually(in_hand, seconds=20)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    seen = []

    async def take(one):
        seen.append((one.id, one.attempt))

    tasks(consume(broker.open(), queue, take, prefetch=4))

    async def came():
        return seen

    await eventually(came, seconds=20)
    assert seen[0][0] == sent.id
    assert seen[0][1] == 2

    async def settled():
        return await transport.depth(queue.name) == 0

    await eventually(settled)


@pytest.mark.parametrize("lost", ["delivery", "acknowledgement"])
async def test_r48_what_a_lost_connection_had_on_its_way_is_delivered_again(broker, tasks, consume, lost):
    transport, queue, seen = broker.open(), Queue(broker.queue("q"), ("thing.#",)), []
    await transport.declare(queue)

    async def take(one):
        seen.append((one.body, one.attempt))

    async with proxied(broker.url) as (proxy, url):
        tasks(consume(broker.open(url), queue, take, prefetch=4))
        await transport.publish([message(body=b"first")])
        await eventually(lambda: settled(transport, queue))
        if lost == "delivery":
            proxy.cut_reply = b"the-lost-one"
        else:
            proxy.cut_request = broker.acknowledgement
        await transport.publish([message(body=b"the-lost-one")])
        await eventually(lambda: settled(transport, queue))
        assert proxy.cuts == 1
    again = [(b"the-lost-one", 1)] if lost == "acknowledgement" else []
    assert seen == [(b"first", 1), *again, (b"the-lost-one", 2)]


async def settled(transport, queue):
    return await transport.depth(queue.name) == 0


async def test_a_streams_broker_that_goes_away_and_comes_back(own_valkey, own_streams, tasks, consume):
    transport, queue = own_streams, Queue("q", ("thing.#",))
    await transport.declare(queue)
    seen = []

    async def take(one):
        seen.append(one.id)

    tasks(consume(transport, queue, take, prefetch=4))
    first, second = message(), message()
    assert await transport.publish([first]) == [None]

    async def first_came():
        return seen == [first.id]

    await eventually(first_came)
    own_valkey.kill()
    with pytest.raises(BrokerUnavailable):
        await transport.publish([second])
    own_valkey.start()

    async def published():
        try:
            return await transport.publish([second]) == [None]
        except BrokerUnavailable:
            return False

    await eventually(published)

    async def second_came():
        return second.id in seen

    await eventually(second_came)


async def test_a_consumer_of_a_streams_broker_that_has_nothing_to_do_asks_for_nothing_but_news(
    own_valkey, own_streams, tasks
):
    queue = Queue("quiet", ("thing.*.v1",))
    await own_streams.declare(queue)

    async def take(_one):
        raise AssertionError

    async with redis.Redis.from_url(own_valkey.url) as server, server.monitor() as watch:
        tasks(own_streams.consume(queue, take, prefetch=4))
        seen = []
        async with asyncio.timeout(20):
            async for command in watch.listen():
                if command["client_type"] != "lua":
                    seen.append(command["command"].split()[0])
                if seen.count("EVALSHA") == 6:
                    break
    # The script is told once, and its digest from then on; what comes first is how connections begin.
    looks = seen[seen.index("EVAL") + 1 :]
    assert set(looks) == {"EVALSHA", "XREADGROUP"}
    assert looks.count("XREADGROUP") <= looks.count("EVALSHA")


async def test_what_is_done_at_the_same_time_is_settled_at_once_by_a_streams_broker(own_valkey, own_streams, tasks):
    """Thirty deliveries that end together cost a round trip or two, and one that fails is delivered again alone."""
    transport, queue = own_streams, Queue("q", ("thing.#",), ordered=False)
    server = redis.Redis.from_url(own_valkey.url)
    await transport.declare(queue)
    seen, together = Counter(), asyncio.Barrier(30)
    messages = [message() for _ in range(30)]

    async def take(one):
        seen[one.id] += 1
        if seen[one.id] == 1:
            await together.wait()
            if one.id == messages[7].id:
                raise Reject("never")

    tasks(transport.consume(queue, take, prefetch=30))
    await transport.publish(messages)

    async def is_settled():
        return await transport.depth(queue.name) == 0 and await transport.dead(queue.name) == 1

    await eventually(is_settled)
    pending = await server.xpending("{taskloom}:queue:q", "consumers")
    # One is the script's that buries.
    assert (await server.info("commandstats"))["cmdstat_xack"]["calls"] <= 4
    assert (pending["pending"], set(seen.values()), len(seen)) == (0, {1}, 30)
    await server.aclose()


async def test_what_waits_is_handled_together_and_each_message_has_its_own_outcome(broker, tasks):
    """One may be dead while another one comes again and the rest is done; one batch follows the other."""
    transport, queue, batches = broker.open(), Queue(broker.queue("q"), ("thing.#",)), []
    await transport.declare(queue)
    sent = [message(body=str(number).encode()) for number in range(BATCH + 8)]
    assert await transport.publish(sent) == [None] * len(sent)

    async def judge(messages):
        batches.append([(one.body, one.attempt) for one in messages])
        await asyncio.sleep(0)
        failing = {(b"3", 1): Retry("later"), (b"7", 1): Reject("never")}
        return [failing.get((one.body, one.attempt)) for one in messages]

    tasks(broker.open().consume_together(queue, judge, gather_seconds=0.01))
    await eventually(lambda: settled(transport, queue))
    assert sorted(one for batch in batches for one in batch) == sorted([*((one.body, 1) for one in sent), (b"3", 2)])
    assert 1 < max(map(len, batches)) <= BATCH
    assert await transport.dead(queue.name) == 1


async def test_what_comes_soon_after_a_batch_gathers_until_it_is_time(broker, tasks):
    transport, queue, sizes = broker.open(), Queue(broker.queue("q"), ("thing.#",)), []
    await transport.declare(queue)

    async def handle(messages):
        sizes.append(len(messages))
        return [None] * len(messages)

    tasks(broker.open().consume_together(queue, handle, gather_seconds=1))
    for _ in range(3):
        await transport.publish([message()])

        async def begun():
            return sizes

        await eventually(begun)

    async def all_came():
        return sum(sizes) == 3

    await eventually(all_came)
    assert sizes == [1, 2]


async def test_a_batch_that_is_under_way_is_settled_when_its_consumer_is_told_to_end(broker, tasks):
    transport, queue = broker.open(), Queue(broker.queue("q"), ("thing.#",))
    began, gate = asyncio.Event(), asyncio.Event()
    await transport.declare(queue)

    async def handle(messages):
        began.set()
        await gate.wait()
        return [None] * len(messages)

    consuming = tasks(broker.open().consume_together(queue, handle, gather_seconds=0.01))
    await transport.publish([message()])
    await began.wait()
    consuming.cancel()
    ended, _ = await asyncio.wait([consuming], timeout=0.1)
    assert not ended
    gate.set()
    await asyncio.wait([consuming])
    assert await transport.depth(queue.name) == 0


async def test_a_batch_costs_a_streams_broker_three_commands(own_valkey, own_streams, tasks):
    """What waits is asked for when the last batch is settled, and not whenever something comes."""
    queue, seen = Queue("q", ("thing.#",)), []
    await own_streams.declare(queue)
    await own_streams.publish([message() for _ in range(2 * BATCH)])

    async def handle(messages):
        seen.append(len(messages))
        return [None] * len(messages)

    async with redis.Redis.from_url(own_valkey.url) as server:
        tasks(own_streams.consume_together(queue, handle, gather_seconds=3600))
        await eventually(lambda: settled(own_streams, queue))
        told = await server.info("commandstats")
    assert seen == [BATCH, BATCH]
    # One more may wait for what comes next.
    assert told["cmdstat_xreadgroup"]["calls"] <= 3
    assert (told["cmdstat_xack"]["calls"], told["cmdstat_xdel"]["calls"]) == (2, 2)


PATTERNS = {
    "task.created.v1": {"task.created.v1"},
    "task.*.v1": {"task.created.v1"},
    "task.#": {"task", "task.created.v1", "task.created.v2", "task.sub.created.v1"},
    "#": {"task", "task.created.v1", "task.created.v2", "task.sub.created.v1", "tasks.created.v1", "taskXcreated.v1"},
    "time-entry.*.v1": set(),
}


async def test_topic_patterns_cover_what_amqp_says(broker):
    transport, types = broker.open(), sorted(PATTERNS["#"])
    queues = {pattern: broker.queue(f"q{number}") for number, pattern in enumerate(PATTERNS)}
    for pattern, name in queues.items():
        await transport.declare(Queue(name, (pattern,)))
    covered = {pattern: set() for pattern in PATTERNS}
    for one in types:
        before = {pattern: await transport.depth(name) for pattern, name in queues.items()}
        assert await transport.publish([message(one)]) == [None]
        for pattern, name in queues.items():
            if await transport.depth(name) > before[pattern]:
                covered[pattern].add(one)
    assert covered == PATTERNS
    assert {pattern: {one for one in types if matches(pattern, one)} for pattern in PATTERNS} == PATTERNS
