"""Going through all rows of a table, a batch in each transaction, so that no batch outlasts the statement timeout."""

from collections.abc import Awaitable
from typing import Protocol
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db.engine import Database
from chassis.db.transactions import transaction

FIRST = UUID(int=0)
"""Before every id."""


class Step(Protocol):
    """Does something with the rows that have the next ids; returns the last of these, or None when there were none."""

    def __call__(self, session: AsyncSession, *, after: UUID) -> Awaitable[UUID | None]: ...


async def go_through(database: Database, step: Step) -> int:
    """Take one step after the other, each in a transaction of its own, to the end; return how many did something.

    What is cut short may be begun again: a step is to be repeatable.
    """
    last, steps = FIRST, 0
    while True:
        async with transaction(database) as session:
            reached = await step(session, after=last)
        if reached is None:
            return steps
        last, steps = reached, steps + 1
