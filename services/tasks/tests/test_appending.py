"""Entries of the log are numbered and written in one statement, and yet who sees them is not from before the lock."""

import asyncio
from dataclasses import replace
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from chassis.db.base import table_of
from chassis.db.transactions import transaction
from chassis.identity import Principal
from chassis.ids import uuid7
from chassis.outbox.publishing import relay_channel
from sqlalchemy import RowMapping, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from tasks_service.changes import repository as log
from tasks_service.changes.repository import MOST_BYTES, change
from tasks_service.changes.schemas import ChangeDraft
from tasks_service.changes.service import record
from tasks_service.models import Change, Member
from tasks_service.tasks.events import TASK_CREATED, task_changed
from tasks_service.tasks.schemas import TaskCreate
from tasks_service.tasks.service import create_task
from testkit.waiting import eventually

WAITING = text(
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%tasks.change_counter%'"
    " AND datname = current_database()"
)


class Log:
    """The log of a workspace with one project and a task in it."""

    def __init__(self, owner: Principal, made: RowMapping) -> None:
        self.owner = owner
        self.workspace_id: UUID = made["workspace_id"]
        self.told = task_changed(TASK_CREATED, None, made)

    async def append(self, session: AsyncSession, count: int = 1, size: int = 0) -> list[tuple[int, set[UUID]]]:
        """Write entries of a size for those who see the project; return their numbers, and who sees them."""
        resource = {**self.told.resource, "description": "x" * size}
        drafts = [self.draft(resource=resource) for _ in range(count)]
        await record(session, workspace_id=self.workspace_id, actor=self.owner, drafts=drafts)
        ids = [draft.entity_id for draft in drafts]
        found = await session.execute(
            select(change.c.entity_id, change.c.seq, change.c.audience).where(change.c.entity_id.in_(ids))
        )
        by_id = {row.entity_id: (row.seq, set(row.audience)) for row in found}
        return [by_id[one] for one in ids]

    def draft(self, **more: Any) -> ChangeDraft:
        """Return a change that those hear of who see the project."""
        return replace(self.told, entity_id=uuid7(), **{"audience": "project", **more})


@pytest.fixture
async def opened(database: Any) -> Log:
    owner = Principal(user_id=uuid7(), session_id=uuid7())
    async with transaction(database) as session:
        made = await create_task(session, wanted=TaskCreate(title="Buy milk"), actor=owner)
    return Log(owner, made)


LARGE = MOST_BYTES // 5


@pytest.mark.parametrize(("count", "size"), [(1, 0), (3, 0), (1, LARGE), (4, LARGE), (11, LARGE)])
async def test_numbers_follow_each_other_in_their_order_however_much_there_is(
    database: Any, opened: Log, count: int, size: int
) -> None:
    async with transaction(database) as session:
        [(last, seers)] = await opened.append(session)
        assert seers == {opened.owner.user_id}
        assert await opened.append(session, count, size) == [(last + 1 + place, seers) for place in range(count)]
        assert await log.heads_after(session, opened.owner) == {opened.workspace_id: last + count}


@pytest.mark.parametrize(("count", "size"), [(1, 0), (6, LARGE)])
async def test_what_the_last_holder_of_the_counter_committed_is_seen(
    database: Any, opened: Log, count: int, size: int
) -> None:
    """The statement waits with a snapshot that has none of it."""
    newcomer = uuid7()
    async with transaction(database) as waiting:
        await waiting.execute(select(1))
        async with transaction(database) as holder:
            member = table_of(Member)
            found = await holder.execute(select(member).where(member.c.workspace_id == opened.workspace_id))
            of_newcomer = {**found.mappings().one(), "id": uuid7(), "user_id": newcomer, "role": "admin"}
            await holder.execute(insert(member).values(of_newcomer))
            [(last, _)] = await opened.append(holder)
            appending = asyncio.create_task(opened.append(waiting, count, size))
            await eventually(lambda: _waits(database))
        seers = {opened.owner.user_id, newcomer}
        assert await appending == [(last + 1 + place, seers) for place in range(count)]
        assert await log.heads_after(waiting, opened.owner) == {opened.workspace_id: last + count}


async def test_each_entry_is_for_its_own_circle_and_lost_only_by_who_sees_it_no_more(
    database: Any, opened: Log
) -> None:
    one, other = uuid7(), uuid7()
    owner = opened.owner.user_id
    drafts = {
        "project": opened.draft(),
        "somebody": opened.draft(audience=frozenset({one})),
        "admins": opened.draft(audience="admins"),
        "also": opened.draft(also=frozenset({one, owner})),
        "lost": opened.draft(also=frozenset({one}), lost_by=frozenset({one, other, owner})),
    }
    async with transaction(database) as session:
        await record(session, workspace_id=opened.workspace_id, actor=None, drafts=list(drafts.values()))
        rows = (await session.execute(select(change).where(change.c.workspace_id == opened.workspace_id))).mappings()
        found = {row["entity_id"]: row for row in rows}
    entries = {name: found[draft.entity_id] for name, draft in drafts.items()}
    assert {name: (entry["audience"], entry["lost_by"]) for name, entry in entries.items()} == {
        "project": ([owner], None),
        "somebody": ([one], None),
        "admins": ([owner], None),
        "also": (sorted([one, owner]), None),
        "lost": (sorted([one, owner]), [other]),
    }
    assert entries["project"]["resource"] == opened.told.resource
    assert entries["project"]["changes"] == [one.as_json() for one in opened.told.changes]
    assert entries["project"]["actor"] is None


async def _waits(database: Any) -> bool:
    async with database.primary.connect() as connection:
        return bool(await connection.scalar(WAITING))


async def test_the_relay_is_told(database_settings: Any, database: Any, opened: Log) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    listener = await asyncpg.connect(database_settings.url.get_secret_value())
    await listener.add_listener(relay_channel(table_of(Change)), lambda *said: heard.put_nowait(said[-1]))
    async with transaction(database) as session:
        await opened.append(session)
    assert await asyncio.wait_for(heard.get(), 10) == "change"
    await listener.close()
