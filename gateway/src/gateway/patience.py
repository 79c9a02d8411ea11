"""Waiting for others for so long, and not for ourselves."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

LOOKS = 5
T = TypeVar("T")


async def in_time(call: Coroutine[Any, Any, T], *, seconds: float) -> T:
    """Return what a call returns. Raises TimeoutError after so long in which the one who is called, not we, was slow.

    The time is taken in several looks: while the loop is busy with something else they come late, but there are
    as many, and between any two of them it sends what is to be sent and reads what has arrived. A call that is given
    up is cancelled.
    """
    task = asyncio.create_task(call)
    try:
        for _ in range(LOOKS):
            await asyncio.wait({task}, timeout=seconds / LOOKS)
            if task.done():
                return task.result()
    finally:
        task.cancel()
    await asyncio.wait({task})
    if task.cancelled():
        raise TimeoutError
    return task.result()
