"""Entries of the log are numbered and written in one statement, and yet who sees them is not from before the lock."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from chassis.clock import utcnow
from chassis.db.base import table_of
from chassis.db.transactions import transaction
from chassis.identity import Principal
from chassis.ids import uuid7
from chassis.outbox.publishing import relay_channel
from sqlalchemy import RowMapping, delete, insert, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from tasks_service.changes import repository as log
from tasks_service.changes.repository import MOST_AT_ONCE, MOST_BYTES, change
from tasks_service.changes.schemas import ChangeDraft
from tasks_service.changes.service import record
from tasks_service.models import Change, Member, TaskShare
from tasks_service.tasks.events import TASK_CREATED, task_changed
from tasks_service.tasks.schemas import TaskCreate
from tasks_service.tasks.service import create_task
from testkit.statements import statements_seen
from testkit.waiting import eventually

WAITING = text(
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%tasks.change_counter%'"
    " AND datname = current_database()"
)

member = table_of(Member)


class Log:
    """The log of a workspace with an owner, one private project, and a task in it."""

    def __init__(self, owner: Principal, made: RowMapping) -> None:
        self.owner = owner
        self.workspace_id: UUID = made["workspace_id"]
        self.task_id: UUID = made["id"]
        self.told = task_changed(TASK_CREATED, None, made)

    async def join(self, session: AsyncSession, role: str) -> UUID:
        """Let somebody new be a member; return who that is."""
        values = {"user_id": uuid7(), "role": role, "joined_seq": 1, **self.common()}
        await session.execute(insert(member).values(values))
        return values["user_id"]

    async def share(self, session: AsyncSession, user_id: UUID) -> None:
        """Share the task with somebody."""
        values = {"task_id": self.task_id, "user_id": user_id, "role": "viewer", "shared_by": self.owner.user_id}
        await session.execute(insert(table_of(TaskShare)).values({**values, **self.common()}))

    def common(self) -> dict[str, Any]:
        return {"id": uuid7(), "workspace_id": self.workspace_id, "version": 1, "created_at": utcnow()}

    async def append(
        self, session: AsyncSession, count: int = 1, size: int = 0, audience: str = "project"
    ) -> list[tuple[int, set[UUID]]]:
        """Write entries of a size for a circle; return their numbers, and who sees them."""
        resource = {**self.told.resource, "description": "x" * size}
        drafts = [self.draft(resource=resource, audience=audience) for _ in range(count)]
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
SIZES = [(1, 0), (3, 0), (1, LARGE), (4, LARGE), (11, LARGE), (2 * MOST_AT_ONCE + 1, 0)]


@pytest.mark.parametrize(("count", "size"), SIZES)
async def test_numbers_follow_each_other_in_their_order_however_much_there_is(
    database: Any, opened: Log, count: int, size: int
) -> None:
    async with transaction(database) as session:
        [(last, seers)] = await opened.append(session)
        assert seers == {opened.owner.user_id}
        assert await opened.append(session, count, size) == [(last + 1 + place, seers) for place in range(count)]
        assert await log.heads_after(session, opened.owner) == {opened.workspace_id: last + count}


async def joins(opened: Log, session: AsyncSession, there: UUID) -> set[UUID]:
    return {there, await opened.join(session, "admin")}


async def is_shown_the_task(opened: Log, session: AsyncSession, there: UUID) -> set[UUID]:
    guest = await opened.join(session, "guest")
    await opened.share(session, guest)
    return {there, guest}


async def leaves(opened: Log, session: AsyncSession, there: UUID) -> set[UUID]:
    of_them = member.c.workspace_id == opened.workspace_id, member.c.user_id == there
    await session.execute(delete(member).where(*of_them))
    return set()


Happening = Callable[[Log, AsyncSession, UUID], Awaitable[set[UUID]]]
MEANWHILE: list[tuple[str, Happening]] = [
    ("project", joins),
    ("project", leaves),
    ("task", is_shown_the_task),
    ("task", leaves),
    ("admins", joins),
    ("workspace", leaves),
]


@pytest.mark.parametrize(("audience", "happens"), MEANWHILE)
@pytest.mark.parametrize(("count", "size"), [(1, 0), (6, LARGE)])
async def test_what_the_last_holder_of_the_counter_committed_decides(
    database: Any, opened: Log, audience: str, happens: Happening, count: int, size: int
) -> None:
    """The statement waits with a snapshot that has none of it."""
    async with transaction(database) as session:
        admin = await opened.join(session, "admin")
        await opened.append(session)
    async with transaction(database) as waiting:
        await waiting.execute(select(1))
        async with transaction(database) as holder:
            left = await happens(opened, holder, admin)
            [(last, _)] = await opened.append(holder)
            appending = asyncio.create_task(opened.append(waiting, count, size, audience))
            await eventually(lambda: _waits(database))
        seers = {opened.owner.user_id, *left}
        assert await appending == [(last + 1 + place, seers) for place in range(count)]
        assert await log.heads_after(waiting, opened.owner) == {opened.workspace_id: last + count}


@pytest.mark.parametrize("at_once", [1, 9])
async def test_each_entry_is_for_its_own_circle_and_lost_only_by_who_sees_it_no_more(
    database: Any, opened: Log, at_once: int
) -> None:
    one, other, owner = uuid7(), uuid7(), opened.owner.user_id
    async with transaction(database) as session:
        admin, insider, guest = [await opened.join(session, role) for role in ("admin", "member", "guest")]
        await opened.share(session, guest)
        await opened.append(session)
    drafts = {
        "project": opened.draft(),
        "task": opened.draft(audience="task"),
        "workspace": opened.draft(audience="workspace"),
        "members": opened.draft(audience="members"),
        "admins": opened.draft(audience="admins"),
        "somebody": opened.draft(audience=frozenset({one})),
        "nobody": opened.draft(audience=frozenset()),
        "also": opened.draft(also=frozenset({one, owner})),
        "lost": opened.draft(also=frozenset({one}), lost_by=frozenset({one, other, owner})),
    }
    async with transaction(database) as session:
        in_order = list(drafts.values())
        for first in range(0, len(in_order), at_once):
            some = in_order[first : first + at_once]
            await record(session, workspace_id=opened.workspace_id, actor=None, drafts=some)
        rows = (await session.execute(select(change).where(change.c.workspace_id == opened.workspace_id))).mappings()
        found = {row["entity_id"]: row for row in rows}
    entries = {name: found[draft.entity_id] for name, draft in drafts.items()}
    assert {name: (entry["audience"], entry["lost_by"]) for name, entry in entries.items()} == {
        "project": (sorted([owner, admin, insider]), None),
        "task": (sorted([owner, admin, insider, guest]), None),
        "workspace": (sorted([owner, admin, insider, guest]), None),
        "members": (sorted([owner, admin, insider]), None),
        "admins": (sorted([owner, admin]), None),
        "somebody": ([one], None),
        "nobody": ([], None),
        "also": (sorted([owner, admin, insider, one]), None),
        "lost": (sorted([owner, admin, insider, one]), [other]),
    }
    assert entries["project"]["resource"] == opened.told.resource
    assert entries["project"]["changes"] == [change_of_field.as_json() for change_of_field in opened.told.changes]
    assert entries["project"]["actor"] is None


async def test_an_entry_is_written_alike_alone_and_beside_another(database: Any, opened: Log) -> None:
    """Alone it comes by parameters, and beside another as JSON."""
    async with transaction(database) as session:
        kept = await session.scalar(select(change.c.entity_id).limit(1))
        resource = {**opened.told.resource, "description": "\\u00e9 \u20ac 'quoted' \n", "id": kept}
        draft = opened.draft(resource=resource, task_id=kept, related_task_id=opened.task_id, also={opened.task_id})
        with statements_seen(await session.connection()) as seen:
            for drafts in ([draft], [draft, opened.draft()]):
                told = {"actor": opened.owner, "reason": "Tidying 'up'", "quiet": True}
                await record(session, workspace_id=opened.workspace_id, drafts=drafts, **told)
        of_draft = select(change).where(change.c.entity_id == draft.entity_id).order_by(change.c.seq)
        alone, beside = (await session.execute(of_draft)).mappings().all()
    assert {name for name in alone if alone[name] != beside[name]} == {"seq", "event_id", "occurred_at"}
    assert alone["resource"] == {**resource, "id": str(kept)}
    assert ["json_to_recordset" in statement for statement in seen] == [False, True]


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("too_long", [{"reason": "r" * 501}, {"type": "t" * 101}, {"entity_type": "e" * 33}])
async def test_what_is_too_long_is_refused_and_not_cut(
    database: Any, opened: Log, count: int, too_long: dict[str, str]
) -> None:
    reason = too_long.get("reason")
    changed = {} if reason else too_long
    drafts = [opened.draft(**changed) for _ in range(count)]
    async with database.sessions() as session:
        with pytest.raises(DBAPIError, match="value too long"):
            await record(session, workspace_id=opened.workspace_id, actor=None, drafts=drafts, reason=reason)


MISTAKEN = [{"audience": "guests"}, *({"audience": one, "project_id": None} for one in ("project", "task"))]


@pytest.mark.parametrize("mistaken", MISTAKEN)
async def test_a_change_that_would_be_told_to_nobody_by_mistake_is_not_written(
    database: Any, opened: Log, mistaken: dict[str, Any]
) -> None:
    async with transaction(database) as session:
        with pytest.raises((KeyError, ValueError)):
            await record(
                session, workspace_id=opened.workspace_id, actor=None, drafts=[replace(opened.told, **mistaken)]
            )


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
