"""The position after a write, which is read with who sees it: it is right whatever a transaction does."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from chassis.db.row_security import bind
from chassis.db.transactions import transaction
from chassis.identity import Principal
from chassis.ids import uuid7
from sqlalchemy.ext.asyncio import AsyncSession
from tasks_service.changes import repository as log
from tasks_service.db import ROW_SECURITY
from tasks_service.tasks.schemas import TaskCreate
from tasks_service.tasks.service import create_task


class Writer:
    """Somebody who makes tasks in one transaction."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session
        self.caller = Principal(user_id=uuid7(), session_id=uuid7())

    async def write(self) -> None:
        await create_task(self.session, wanted=TaskCreate(title="Buy milk"), actor=self.caller)

    async def told(self) -> tuple[Any, Any]:
        """Return the heads as they are told, and as they are."""
        return await log.heads_after(self.session, self.caller), await log.heads_for(self.session, self.caller)


@pytest.fixture
async def writer(database: Any) -> AsyncIterator[Writer]:
    async with transaction(database) as session:
        found = Writer(session)
        await bind(session, ROW_SECURITY.of(found.caller.user_id))
        yield found


async def test_it_follows_each_change_of_a_transaction(writer: Writer) -> None:
    seen = []
    for _ in range(2):
        await writer.write()
        told, true = await writer.told()
        assert told == true
        seen.append(told)
    assert seen[0] != seen[1]


async def test_it_takes_no_number_that_is_rolled_back(writer: Writer) -> None:
    await writer.write()
    savepoint = await writer.session.begin_nested()
    await writer.write()
    assert (await writer.told())[0] == (await writer.told())[1]
    await savepoint.rollback()
    told, true = await writer.told()
    assert told == true


async def test_it_is_of_whom_it_is_for(writer: Writer) -> None:
    await writer.write()
    narrow = Principal(user_id=writer.caller.user_id, session_id=uuid7(), workspace_id=uuid7())
    assert await log.heads_after(writer.session, narrow) == {}
