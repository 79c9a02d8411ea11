"""Loops that go on after trouble and must still end when they are told to."""

import asyncio


def end_if_cancelled() -> None:
    """Raise CancelledError when this task was cancelled and a library lost that on the way.

    A client that fails while it closes replaces the cancellation by its own error, which a loop takes for one more
    trouble; `asyncio.wait_for` of Python 3.11 can lose it as well. The task itself still knows.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
