"""Numbers are taken and who sees a change is read in one statement, and yet nothing is read from before the lock."""

import asyncio
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from chassis.db.base import table_of
from chassis.db.transactions import transaction
from chassis.identity import Principal
from chassis.ids import uuid7
from chassis.outbox.publishing import relay_channel
from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from tasks_service.changes import repository as log
from tasks_service.changes.schemas import Circles
from tasks_service.models import Change, Member
from tasks_service.tasks.schemas import TaskCreate
from tasks_service.tasks.service import create_task
from testkit.waiting import eventually

WAITING = text(
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%tasks.change_counter%'"
    " AND datname = current_database()"
)


class Log:
    """The log of a workspace with one project and a task in it."""

    def __init__(self, owner: Principal, workspace_id: UUID, project_id: UUID) -> None:
        self.owner = owner
        self.workspace_id = workspace_id
        self.project_id = project_id

    async def take(self, session: AsyncSession, count: int = 1) -> tuple[int, set[UUID]]:
        circles = Circles(frozenset({self.project_id}), frozenset())
        last, readers = await log.take_numbers_for_readers(
            session, count=count, workspace_id=self.workspace_id, circles=circles, caller=self.owner
        )
        return last, set(readers[self.project_id])


@pytest.fixture
async def opened(database: Any) -> Log:
    owner = Principal(user_id=uuid7(), session_id=uuid7())
    async with transaction(database) as session:
        made = await create_task(session, wanted=TaskCreate(title="Buy milk"), actor=owner)
    return Log(owner, made["workspace_id"], made["project_id"])


async def test_numbers_follow_each_other_with_who_sees_the_project(database: Any, opened: Log) -> None:
    async with transaction(database) as session:
        first, readers = await opened.take(session, 3)
        assert readers == {opened.owner.user_id}
        assert await opened.take(session) == (first + 1, readers)
        assert await log.heads_after(session, opened.owner) == {opened.workspace_id: first + 1}


async def test_what_the_last_holder_of_the_counter_committed_is_seen(database: Any, opened: Log) -> None:
    """The statement waits with a snapshot that has none of it."""
    newcomer = uuid7()
    async with transaction(database) as waiting:
        await waiting.execute(select(1))
        async with transaction(database) as holder:
            member = table_of(Member)
            found = await holder.execute(select(member).where(member.c.workspace_id == opened.workspace_id))
            of_newcomer = {**found.mappings().one(), "id": uuid7(), "user_id": newcomer, "role": "admin"}
            await holder.execute(insert(member).values(of_newcomer))
            last, _ = await opened.take(holder)
            taking = asyncio.create_task(opened.take(waiting))
            await eventually(lambda: _waits(database))
        assert await taking == (last + 1, {opened.owner.user_id, newcomer})
        assert await log.heads_after(waiting, opened.owner) == {opened.workspace_id: last + 1}


async def _waits(database: Any) -> bool:
    async with database.primary.connect() as connection:
        return bool(await connection.scalar(WAITING))


async def test_the_relay_is_told(database_settings: Any, database: Any, opened: Log) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    listener = await asyncpg.connect(database_settings.url.get_secret_value())
    await listener.add_listener(relay_channel(table_of(Change)), lambda *said: heard.put_nowait(said[-1]))
    async with transaction(database) as session:
        await opened.take(session)
    assert await asyncio.wait_for(heard.get(), 10) == "change"
    await listener.close()
