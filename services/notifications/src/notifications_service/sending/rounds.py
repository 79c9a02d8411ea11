"""Doing what is due: woken by PostgreSQL's NOTIFY or by the clock, in lanes that do not wait for each other."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from chassis.db.engine import Database
from chassis.db.failures import TROUBLE
from chassis.db.listening import keep_listening
from chassis.db.transactions import transaction
from chassis.waiting import first_of
from sqlalchemy.ext.asyncio import AsyncSession

log = structlog.get_logger()

PAUSE_SECONDS = 1.0
GATHER_SECONDS = 0.01
"""How long room is gathered while something is under way: what is taken together costs about what one alone does."""

Note = Callable[[AsyncSession], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Lane:
    """Work that is done on its own: `work` does a part of what is due, and returns whether there may be more."""

    work: Callable[[], Awaitable[bool]]
    woken: asyncio.Event = field(default_factory=asyncio.Event)


Begun = tuple[Sequence[Coroutine[Any, Any, None]], bool]
"""Pieces of work, and whether there may be more of them."""


class Slots:
    """Up to `size` pieces of work at once, which `take` gives as far as there is room; each that is done makes room."""

    def __init__(self, size: int, take: Callable[[int], Awaitable[Begun]]) -> None:
        self._size = size
        self._take = take
        self._running: set[asyncio.Task[None]] = set()
        self.lane = Lane(self.fill)

    async def fill(self) -> bool:
        """Begin with what there is as far as there is room, or wait for room; return whether there may be more."""
        if self._running:
            await asyncio.sleep(GATHER_SECONDS)
        room = self._size - len(self._running)
        if not room:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
            return True
        pieces, has_more = await self._take(room)
        for piece in pieces:
            task = asyncio.create_task(piece)
            self._running.add(task)
            task.add_done_callback(self._on_done)
        return has_more

    async def finish(self) -> None:
        """Wait for what is under way."""
        if self._running:
            await asyncio.wait(self._running)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("sending.broken", exc_info=error)
        # There may be more, which waits for just this one.
        self.lane.woken.set()


class Rounds:
    """Goes round in every lane when told on `channel` that there is something to do, and by itself at times.

    `subject` is what trouble is logged of.
    """

    def __init__(self, database: Database, *, channel: str, poll_seconds: float, subject: str) -> None:
        self._database = database
        self._channel = channel
        self._poll_seconds = poll_seconds
        self._subject = subject

    async def run(self, stop: asyncio.Event, lanes: Sequence[Lane]) -> None:
        """Work until `stop` is set. Trouble with the database is waited out."""
        await asyncio.gather(self._listen(stop, lanes), *(self._go_round(stop, lane) for lane in lanes))

    async def _go_round(self, stop: asyncio.Event, lane: Lane) -> None:
        while not stop.is_set():
            try:
                lane.woken.clear()
                while await lane.work() and not stop.is_set():
                    pass
            except TROUBLE as error:
                self._report(error)
                await first_of(stop, seconds=PAUSE_SECONDS)
            except Exception:
                # What breaks our own code in one lane must not end the others.
                log.exception("sending.broken", subject=self._subject)
                await first_of(stop, seconds=PAUSE_SECONDS)
            else:
                await first_of(stop, lane.woken, seconds=self._poll_seconds)

    async def _listen(self, stop: asyncio.Event, lanes: Sequence[Lane]) -> None:
        def wake(_payload: str = "") -> None:
            for lane in lanes:
                lane.woken.set()

        await keep_listening(self._database, self._channel, stop, heard=wake, began=wake)

    def _report(self, error: Exception) -> None:
        log.warning("sending.trouble", subject=self._subject, reason=type(error).__name__)


async def note_until(database: Database, note: Note, *, seconds: float, subject: str) -> bool:
    """Write an outcome down, trying again for so long: an outcome that is lost is something done twice.

    Return whether it was noted; it is not where the claim was lost or the database stays away.
    """
    deadline = asyncio.get_running_loop().time() + seconds
    kept = await _attempt(database, note, subject)
    while kept is None and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(PAUSE_SECONDS)
        kept = await _attempt(database, note, subject)
    return bool(kept)


async def _attempt(database: Database, note: Note, subject: str) -> bool | None:
    """Return whether an outcome was noted, as False where the claim was lost; None when the database is away."""
    try:
        async with transaction(database) as session:
            return await note(session)
    except TROUBLE as error:
        log.warning("sending.trouble", subject=subject, reason=type(error).__name__)
        return None
