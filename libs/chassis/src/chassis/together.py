"""Asking together: what comes at the same time, or while something is under way, is asked in one go.

Where asking for ten costs hardly more than asking for one, a process under load asks seldom and for much, and an idle
one at once and for one.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from functools import partial
from typing import Generic, NamedTuple, TypeVar

MOST = 32
"""How much is asked in one go: more gains little, and is what fails together."""
PATIENCE = 0.01
"""How long what fits into the next go waits for what is under way, in seconds."""

K = TypeVar("K")
T = TypeVar("T")


class Waiting(NamedTuple, Generic[K, T]):
    """What somebody asks, and where they wait for the answer."""

    asked: K
    answer: asyncio.Future[T]


class Together(Generic[K, T]):
    """Asks for what several want to know, which `answer` tells in the order in which it was asked.

    What `answer` raises all are told who were asked for in the same go. It is called outside of anybody's context.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[K]], Awaitable[Sequence[T]]],
        *,
        most: int = MOST,
        patience: float = PATIENCE,
    ) -> None:
        self._answer = answer
        self._most = most
        self._patience = patience
        self._waiting: deque[Waiting[K, T]] = deque()
        self._under_way: set[asyncio.Task[list[T]]] = set()
        self._next: asyncio.Handle | None = None

    async def ask(self, asked: K) -> T:
        """Return the answer to one question. Raises what `answer` raises."""
        loop = asyncio.get_running_loop()
        waiting: Waiting[K, T] = Waiting(asked, loop.create_future())
        self._waiting.append(waiting)
        if self._next is None:
            # Whatever else is asked in the same turn of the loop goes with it.
            self._next = loop.call_later(self._patience, self._go) if self._under_way else loop.call_soon(self._go)
        return await waiting.answer

    def _go(self) -> None:
        """Ask for what waits, and see to what is left."""
        if self._next is not None:
            self._next.cancel()
            self._next = None
        loop = asyncio.get_running_loop()
        if together := self._those_next():
            going = loop.create_task(self._answers(together), context=Context())
            self._under_way.add(going)
            going.add_done_callback(partial(self._come_back, together))
        if self._waiting:
            self._next = loop.call_later(self._patience, self._go)

    def _those_next(self) -> list[Waiting[K, T]]:
        """Return those who are asked for next; who is gone meanwhile is not."""
        found: list[Waiting[K, T]] = []
        while self._waiting and len(found) < self._most:
            if not (one := self._waiting.popleft()).answer.done():
                found.append(one)
        return found

    async def _answers(self, together: Sequence[Waiting[K, T]]) -> list[T]:
        """Return as many answers as there are questions. Raises ValueError where there are not: whose would they be."""
        answers = list(await self._answer([one.asked for one in together]))
        if len(answers) != len(together):
            raise ValueError(len(answers))
        return answers

    def _come_back(self, together: Sequence[Waiting[K, T]], going: asyncio.Task[list[T]]) -> None:
        self._under_way.discard(going)
        for place, one in enumerate(together):
            if not one.answer.done():
                _tell(one.answer, going, place)
        if self._waiting:
            self._go()


def _tell(answer: asyncio.Future[T], going: asyncio.Task[list[T]], place: int) -> None:
    """Pass on what has come of it, whatever that is."""
    if going.cancelled():
        answer.cancel()
    elif (error := going.exception()) is not None:
        answer.set_exception(error)
    else:
        answer.set_result(going.result()[place])
