"""Many messages at once, those of one key one after the other."""

import asyncio
from collections.abc import Awaitable, Callable


class KeyedDispatcher:
    """Runs jobs concurrently up to a bound; jobs of the same key run in the order in which they came."""

    def __init__(self, limit: int) -> None:
        self._slots = asyncio.Semaphore(limit)
        self._last: dict[str, asyncio.Task[None]] = {}
        self._running: set[asyncio.Task[None]] = set()

    async def submit(self, key: str, job: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Take a job, waiting while `limit` jobs are under way, and return it under way. A job must not raise."""
        await self._slots.acquire()
        task = asyncio.create_task(self._run(self._last.get(key), job))
        self._last[key] = task
        self._running.add(task)
        task.add_done_callback(lambda done: self._finished(key, done))
        return task

    async def drain(self, seconds: float) -> None:
        """Wait for the jobs under way, and cancel those that take longer."""
        if not self._running:
            return
        _, late = await asyncio.wait(set(self._running), timeout=seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _run(self, previous: asyncio.Task[None] | None, job: Callable[[], Awaitable[None]]) -> None:
        if previous is not None:
            await asyncio.wait([previous])
        await job()

    def _finished(self, key: str, task: asyncio.Task[None]) -> None:
        self._slots.release()
        self._running.discard(task)
        if self._last.get(key) is task:
            del self._last[key]
