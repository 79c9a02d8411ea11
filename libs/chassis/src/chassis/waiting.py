"""Waiting for one of several events, or for a moment."""

import asyncio


async def first_of(*events: asyncio.Event, seconds: float | None = None) -> None:
    """Wait until one of the events is set, or for so long."""
    waiters = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiters, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for waiter in waiters:
            waiter.cancel()


async def until(moment: float, *events: asyncio.Event) -> None:
    """Wait until it is `moment` by the clock of the loop, or one of the events is set; not at all when it is past."""
    left = moment - asyncio.get_running_loop().time()
    if left > 0 and events:
        await first_of(*events, seconds=left)
    elif left > 0:
        await asyncio.sleep(left)
