"""Waiting for others for so long, and not for ourselves."""

import asyncio
from types import TracebackType
from typing import Self

LOOKS = 5


class Patience:
    """`async with Patience(seconds):` raises TimeoutError in its block when another one, not we, was slow for so long.

    The time is taken in several looks: while the loop is busy with something else they come late, but there are
    as many, and between any two of them it sends what is to be sent and reads what has arrived. What is waited for
    in the block is cancelled then, as asyncio.timeout does it, at less than half of its cost.
    """

    __slots__ = ("_cancelling", "_left", "_loop", "_pause", "_task", "_timer")
    _timer: asyncio.Handle

    def __init__(self, seconds: float) -> None:
        self._pause = seconds / LOOKS
        self._left = LOOKS

    async def __aenter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("patience is of a task")
        self._task = task
        self._cancelling = task.cancelling()
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(self._pause, self._look)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._timer.cancel()
        # Cancelled by somebody else, too, it stays that.
        if self._left == 0 and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def _look(self) -> None:
        # Counted in a turn of its own: what has arrived by now is taken up first.
        self._timer = self._loop.call_soon(self._count)

    def _count(self) -> None:
        self._left -= 1
        if self._left:
            self._timer = self._loop.call_later(self._pause, self._look)
        else:
            self._task.cancel()
