"""Working on what waits all at once: while one batch is worked on, the next one gathers."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")

BATCH = 32


class Batches(Generic[T]):
    """Gathers single pieces of work. A batch that fails is done piece by piece, so that each has its own outcome."""

    def __init__(
        self, together: Callable[[Sequence[T]], Awaitable[Sequence[str]]], alone: Callable[[T], Awaitable[str]]
    ) -> None:
        self._together = together
        self._alone = alone
        self._waiting: list[tuple[T, asyncio.Future[str]]] = []
        self._running: asyncio.Task[None] | None = None

    async def work(self, piece: T) -> str:
        """Have a piece worked on, and return its outcome. Raises what working on it raised."""
        outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting.append((piece, outcome))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        return await outcome

    async def _run(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            # Whoever does not wait any more is given to somebody else, or tried again.
            wanted = [one for one in batch if not one[1].done()]
            if len(wanted) < 2 or not await self._all_at_once(wanted):  # noqa: PLR2004 - one is no batch
                for piece, outcome in wanted:
                    await self._one(piece, outcome)

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
