"""A consumer that takes a message and never finishes; a test kills it."""

import asyncio
import sys
from pathlib import Path

from chassis.broker.port import Queue
from chassis.broker.rabbitmq import RabbitTransport
from chassis.broker.stream_members import StreamTiming
from chassis.broker.streams import StreamsTransport


async def main(kind: str, url: str, space: str, queue: str, marker: str) -> None:
    async def hold(_message: object) -> None:
        Path(marker).touch()
        await asyncio.Event().wait()

    transport = (
        StreamsTransport(url, prefix=space, timing=StreamTiming(alive=0.6, look=0.05))
        if kind == "streams"
        else RabbitTransport(url, exchange=space)
    )
    await transport.consume(Queue(queue, ("thing.#",)), hold, prefetch=4)


asyncio.run(main(*sys.argv[1:]))
