"""Working on what waits all at once: while one batch is worked on, the next one gathers."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from chassis.broker.port import BatchHandler, Handler, Message, Outcome
from chassis.waiting import until

T = TypeVar("T")
R = TypeVar("R")

BATCH = 64
"""How much is worked on at once: of a thousand messages a second what comes while batches rest, and some more."""
RESTS = 3
LONGEST_REST = 0.05


class Pace:
    """Tells when the next batch may begin: at once after a rest, and where much comes, when more of it has gathered.

    Batches begin `gather_seconds` after each other at the earliest. Where they take long, since the machine is busy,
    it is three times as long as the last one took, up to 50 ms, so that fewer of them do as much.
    """

    def __init__(self, gather_seconds: float) -> None:
        self._gather_seconds = gather_seconds
        self._began = float("-inf")
        self.next_at = float("-inf")

    def begin(self) -> None:
        """Note that a batch begins."""
        self._began = asyncio.get_running_loop().time()

    def end(self, *, is_full: bool) -> None:
        """Note that it is done. After a full one there may be another."""
        took = asyncio.get_running_loop().time() - self._began
        rest = max(self._gather_seconds, min(took * RESTS, LONGEST_REST)) if self._gather_seconds else 0.0
        self.next_at = self._began + (0.0 if is_full else rest)


class Batches(Generic[T, R]):
    """Gathers single pieces of work, whose outcomes `together` returns; what it raises is raised for each of them.

    A batch that is not full begins when its pace says so.
    """

    def __init__(
        self, together: Callable[[Sequence[T]], Awaitable[Sequence[R]]], *, gather_seconds: float = 0.0
    ) -> None:
        self._together = together
        self._pace = Pace(gather_seconds)
        self._full = asyncio.Event()
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._running: asyncio.Task[None] | None = None

    async def work(self, piece: T) -> R:
        """Have a piece worked on, and return its outcome. Raises what working on it raised."""
        outcome: asyncio.Future[R] = asyncio.get_running_loop().create_future()
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
            self._pace.begin()
            if wanted:
                await self._work_on(wanted)
            self._pace.end(is_full=len(batch) >= BATCH)

    async def _gather(self) -> Sequence[tuple[T, asyncio.Future[R]]]:
        if len(self._waiting) < BATCH:
            self._full.clear()
            await until(self._pace.next_at, self._full)
        batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
        return batch

    async def _work_on(self, batch: Sequence[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            outcomes = await self._together([piece for piece, _ in batch])
        except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
            for _, outcome in batch:
                if not outcome.done():
                    outcome.set_exception(error)
            return
        for (_, outcome), found in zip(batch, outcomes, strict=True):
            if not outcome.done():
                outcome.set_result(found)


def gathering(handler: BatchHandler, *, gather_seconds: float) -> Handler:
    """Return what hands single messages over in batches, for a transport that delivers them one by one."""
    batches: Batches[Message, Outcome] = Batches(handler, gather_seconds=gather_seconds)

    async def handle(message: Message) -> None:
        outcome = await batches.work(message)
        if outcome is not None:
            raise outcome

    return handle
