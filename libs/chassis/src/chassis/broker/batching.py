"""Working on what waits all at once: while one batch is worked on, the next one gathers."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from chassis.waiting import until

T = TypeVar("T")

BATCH = 32


class Batches(Generic[T]):
    """Gathers single pieces of work. A batch that fails is done piece by piece, so that each has its own outcome.

    A batch that is not full begins `gather_seconds` after the last one at the earliest: the first piece after a rest is
    worked on at once, and where much comes, more of it comes together.
    """

    def __init__(
        self,
        together: Callable[[Sequence[T]], Awaitable[Sequence[str]]],
        alone: Callable[[T], Awaitable[str]],
        *,
        gather_seconds: float = 0.0,
    ) -> None:
        self._together = together
        self._alone = alone
        self._gather_seconds = gather_seconds
        self._began = float("-inf")
        self._full = asyncio.Event()
        self._waiting: list[tuple[T, asyncio.Future[str]]] = []
        self._running: asyncio.Task[None] | None = None

    async def work(self, piece: T) -> str:
        """Have a piece worked on, and return its outcome. Raises what working on it raised."""
        outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting.append((piece, outcome))
        if len(self._waiting) >= BATCH:
            self._full.set()
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        return await outcome

    async def _run(self) -> None:
        while self._waiting:
            batch = await self._gather()
            # Whoever does not wait any more is given to somebody else, or tried again.
            wanted = [one for one in batch if not one[1].done()]
            if len(wanted) < 2 or not await self._all_at_once(wanted):  # noqa: PLR2004 - one is no batch
                for piece, outcome in wanted:
                    await self._one(piece, outcome)

    async def _gather(self) -> Sequence[tuple[T, asyncio.Future[str]]]:
        if len(self._waiting) < BATCH:
            self._full.clear()
            await until(self._began + self._gather_seconds, self._full)
        self._began = asyncio.get_running_loop().time()
        batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
        return batch

    async def _all_at_once(self, batch: Sequence[tuple[T, asyncio.Future[str]]]) -> bool:
        try:
            outcomes = await self._together([piece for piece, _ in batch])
        except Exception:  # noqa: BLE001 - which of them it was, each by itself tells
            return False
        for (_, outcome), found in zip(batch, outcomes, strict=True):
            if not outcome.done():
                outcome.set_result(found)
        return True

    async def _one(self, piece: T, outcome: asyncio.Future[str]) -> None:
        if outcome.done():
            return
        try:
            found = await self._alone(piece)
        except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
            if not outcome.done():
                outcome.set_exception(error)
        else:
            if not outcome.done():
                outcome.set_result(found)
