"""What only RabbitMQ does to a consumer."""

import asyncio
from contextlib import asynccontextmanager

import aio_pika
import pytest
from chassis.broker.port import BrokerUnavailable, Message, Queue, Retry, RetryPolicy
from chassis.broker.rabbitmq import RabbitTransport
from chassis.ids import uuid7
from testkit.proxy import proxied
from testkit.waiting import eventually

pytestmark = pytest.mark.rabbitmq

# A frame of channel 1: basic.ack of delivery 99, which the channel never had; the broker closes the channel for it.
UNKNOWN_ACKNOWLEDGEMENT = bytes((1, 0, 1, 0, 0, 0, 13, 0, 60, 0, 80, 0, 0, 0, 0, 0, 0, 0, 99, 0, 0xCE))


@asynccontextmanager
async def administration(url):
    async with await aio_pika.connect(url) as connection:
        yield await connection.channel()


async def consumers(channel, queue):
    found = await channel.declare_queue(queue.name, passive=True)
    return found.declaration_result.consumer_count


async def published(transport, messages):
    try:
        return await transport.publish(messages) == [None] * len(messages)
    except BrokerUnavailable:
        return False


@pytest.mark.parametrize("broken", ["channel", "consumer"])
async def test_r50_a_replica_that_loses_its_channel_or_consumer_hears_again(rabbitmq_url, tasks, broken):
    space = f"t{uuid7().hex}"
    queue, in_hand, release = Queue(f"{space}.q", ("thing.#",)), {"one": [], "two": []}, asyncio.Event()

    async def both_listen():
        return await consumers(channel, queue) == 2

    async def one_is_left():
        return await consumers(channel, queue) == 1

    async with proxied(rabbitmq_url) as (proxy, through), administration(rabbitmq_url) as channel:
        transports = {
            "one": RabbitTransport(through, exchange=space),
            "two": RabbitTransport(rabbitmq_url, exchange=space),
        }
        await transports["two"].declare(queue)
        for name, transport in transports.items():

            async def take(one, name=name):
                in_hand[name].append(one.id)
                await release.wait()

            tasks(transport.consume(queue, take, prefetch=1))
        await eventually(both_listen)
        if broken == "channel":
            proxy.inject(UNKNOWN_ACKNOWLEDGEMENT)
            await eventually(one_is_left)
        else:
            await channel.queue_delete(queue.name)
        sent = [Message(str(uuid7()), "thing.made.v1", key, b"{}") for key in ("a", "b")]

        async def both_work():
            return in_hand["one"] and in_hand["two"]

        async def all_settled():
            return await transports["two"].depth(queue.name) == 0

        await eventually(lambda: published(transports["two"], sent), seconds=20)
        await eventually(both_work, seconds=20)
        assert sorted(in_hand["one"] + in_hand["two"]) == sorted(one.id for one in sent)
        release.set()
        await eventually(all_settled)
        for transport in transports.values():
            await transport.close()


async def test_r49_a_delivery_that_could_not_be_settled_comes_again(rabbitmq_url, tasks):
    """The queue of its retries is gone, so it can't be put off; it must not stay in nobody's hand."""
    space, seen = f"t{uuid7().hex}", []
    queue, policy = Queue(f"{space}.q", ("thing.#",)), RetryPolicy((0.1,))
    transport = RabbitTransport(rabbitmq_url, exchange=space, policy=policy)

    async def take(one):
        seen.append((one.id, one.attempt))
        if len(seen) == 1:
            await channel.queue_delete(f"{queue.name}.retry.100ms")
            raise Retry("not today")

    async def settled():
        return len(seen) > 1 and await transport.depth(queue.name) == 0

    async with administration(rabbitmq_url) as channel:
        await transport.declare(queue)
        tasks(transport.consume(queue, take, prefetch=1))
        sent = Message(str(uuid7()), "thing.made.v1", "k", b"{}")
        assert await transport.publish([sent]) == [None]
        await eventually(settled, seconds=20)
        assert seen == [(sent.id, 1), (sent.id, 2)]
        await transport.close()
