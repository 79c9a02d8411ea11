"""Waiting for others: as long as was said, and no shorter because we were busy ourselves."""

import asyncio
import socket
import time

import pytest
import uvloop
from gateway.patience import Patience


async def test_what_does_not_come_is_given_up_after_the_time():
    began = time.monotonic()
    never = asyncio.get_running_loop().create_future()
    with pytest.raises(TimeoutError):
        async with Patience(0.1):
            await never
    assert never.cancelled()
    assert 0.09 < time.monotonic() - began < 5


async def test_what_has_come_ends_the_wait_and_nothing_is_cancelled_later():
    loop = asyncio.get_running_loop()
    answer = loop.create_future()
    loop.call_soon(answer.set_result, "here")
    async with Patience(0.05):
        assert await answer == "here"
    never = asyncio.get_running_loop().create_future()
    await asyncio.wait([never], timeout=0.1)
    assert asyncio.current_task().cancelling() == 0


async def test_an_error_of_the_block_is_its_own():
    with pytest.raises(ValueError, match="mine"):
        async with Patience(5):
            raise ValueError("mine")


async def test_who_is_cancelled_from_outside_is_cancelled():
    waits = asyncio.Event()

    async def wait():
        async with Patience(30):
            waits.set()
            await asyncio.get_running_loop().create_future()

    task = asyncio.create_task(wait())
    await waits.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_who_is_cancelled_from_outside_at_the_end_of_the_time_is_cancelled_and_not_late():
    loop = asyncio.get_running_loop()
    given_up = []

    class Waited(asyncio.Future):
        def cancel(self, msg=None):
            given_up.append(self)
            if len(given_up) == 1:
                task.cancel()
            return super().cancel(msg)

    async def wait():
        async with Patience(0.01):
            await Waited(loop=loop)

    task = asyncio.create_task(wait())
    with pytest.raises(asyncio.CancelledError):
        await task
    assert given_up


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_an_answer_that_is_there_counts_however_busy_the_loop_was_at_the_last_look(new_loop):
    async def ask(reader):
        async with Patience(1):
            return await reader.read(10)

    async def ask_and_be_busy():
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=ours)
        asking = asyncio.create_task(ask(reader))
        # Four looks are over, and the fifth is due before the loop reads again.
        await asyncio.wait([asking], timeout=0.9)
        theirs.send(b"here")
        time.sleep(0.3)
        try:
            return await asking
        finally:
            writer.close()
            theirs.close()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(ask_and_be_busy()) == b"here"
