"""The second line: whatever a query forgets, a request sees and writes rows of its caller's workspaces alone (R36)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx2
import pytest
from chassis.db.binding import Bound
from chassis.db.direct import reading_directly
from chassis.db.engine import Database, open_database
from chassis.db.migrations import upgrade
from chassis.db.row_security import beyond_memberships, bind, reading, reading_primary
from chassis.db.transactions import transaction
from chassis.identity import Principal
from chassis.ids import uuid7
from chassis.settings import DatabaseSettings
from chassis.web.app import APIRouter
from chassis.web.database import PrimaryConnection, ReadConnection, Writing
from chassis.web.health import Health
from chassis.web.routing import serve_routes
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from sqlalchemy import Column, Table, delete, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection
from tasks_service.changes.access import FreshConnection
from tasks_service.db import ROOT, ROW_SECURITY
from tasks_service.history.filters import AuditFilter
from tasks_service.history.service import export_audit
from tasks_service.main import create_app
from tasks_service.models import METADATA
from tasks_service.settings import Settings
from testkit.by_hand import MARKS, by_hand
from testkit.databases import owned_database
from testkit.waiting import eventually

WORKSPACE = METADATA.tables["tasks.workspace"]
GUARDED = [table for table in METADATA.sorted_tables if "workspace_id" in table.c] + [WORKSPACE]
UNGUARDED = {
    "ended_credential",
    "idempotency_key",
    "inbox",
    "outbox",
    "person",
    "purged_workspace",
    "search_document",
    "task_mark",
}
"""What is of no workspace: nothing for requests, found by the caller's credential, told to all who share a workspace,
never read, or joined.

Under row-level security no index of words or of arrays could be used, so a search document, or a mark, is read with the
task or the place that it is of, in one statement, and written by triggers.
"""
NOW = datetime(2026, 1, 1, tzinfo=UTC)
OF_COLUMN = {
    "body": "Words.",
    "category": "todo",
    "number": 1,
    "position": "V",
    "prefix": "P",
    "priority": "none",
    "reason": "manual",
    "role": "viewer",
    "state": "pending",
    "status": "todo",
    "type": "blocks",
    "visibility": "private",
}
ROLES = {"member": "owner", "invitation": "member"}
OF_TYPE: dict[type, Callable[[], Any]] = {
    UUID: uuid7,
    str: lambda: "x",
    bytes: lambda: uuid7().bytes,
    int: lambda: 1,
    bool: lambda: False,
    datetime: lambda: NOW,
    dict: dict,
    list: list,
}
ADDED_WORKSPACE = """
    INSERT INTO tasks.workspace (id, name, created_by, version, created_at, updated_at)
    VALUES (:id, 'x', :id, 1, now(), now())
"""
ADDED_MEMBER = "INSERT INTO tasks.member VALUES (uuidv7(), :workspace, :user, 'member', 1, 1, now())"
HOLD_COUNTER = "SELECT FROM tasks.change_counter WHERE workspace_id = :workspace FOR UPDATE"
WAITING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%change_counter%'
"""
CURRENT = text("SELECT current_user, current_setting('taskloom.caller', true)")


def key_of(table: Table) -> Any:
    return table.c.id if table is WORKSPACE else table.c.workspace_id


def row_of(table: Table, workspace: UUID, user: UUID) -> dict[str, Any]:
    """Return a row that a table takes while it looks at no reference."""
    needed = [one for one in table.c if one.name in OF_COLUMN or not (one.nullable or one.server_default is not None)]
    row = {one.name: OF_COLUMN.get(one.name) or OF_TYPE[python_type(one)]() for one in needed}
    row[key_of(table).name] = workspace
    return row | {name: value for name, value in special(table, user).items() if name in table.c}


def special(table: Table, user: UUID) -> dict[str, Any]:
    role = {"role": ROLES[table.name]} if table.name in ROLES else {}
    return {
        "user_id": user,
        "created_by": user,
        **role,
        **({"reason": None, "state": "new"} if table.name == "change" else {}),
    }


def python_type(column: Column[Any]) -> type:
    return (
        dict if isinstance(column.type, JSONB) else list if isinstance(column.type, ARRAY) else column.type.python_type
    )


def guarded_app(settings: Settings, database: Database) -> FastAPI:
    """Return the app as it is served: the policies bind its requests."""
    return create_app(settings, database=database, health=Health())


class Neighbours:
    """Two workspaces of one member each, with a row in every table, in a transaction that is rolled back."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.connection = connection
        self.mine, self.me, self.other, self.somebody = uuid7(), uuid7(), uuid7(), uuid7()
        self.rows: dict[str, dict[str, Any]] = {}

    async def move_in(self) -> None:
        await self.connection.execute(text("SET LOCAL session_replication_role = replica"))
        for table in GUARDED:
            await self.connection.execute(insert(table).values(row_of(table, self.mine, self.me)))
            self.rows[table.name] = row_of(table, self.other, self.somebody)
            await self.connection.execute(insert(table).values(self.rows[table.name]))

    async def refused(self, statement: Any) -> str:
        """Return the SQLSTATE that a statement is refused with."""
        savepoint = await self.connection.begin_nested()
        with pytest.raises(DBAPIError) as caught:
            await self.connection.execute(statement)
        await savepoint.rollback()
        return caught.value.orig.sqlstate


@pytest.fixture
async def neighbours(database: Database) -> AsyncIterator[Neighbours]:
    async with database.writer.connect() as connection:
        found = Neighbours(connection)
        await found.move_in()
        yield found
        await connection.rollback()


async def test_r36_every_table_of_a_workspace_is_guarded(rows):
    guarded = await rows(
        """
        SELECT relname FROM pg_class
        WHERE relnamespace = 'tasks'::regnamespace AND relrowsecurity AND relforcerowsecurity
            AND (SELECT count(*) FROM pg_policy WHERE polrelid = pg_class.oid AND polname IN ('owner', 'tasks_caller')
                AND polcmd = '*') = 2
        """
    )
    assert {name for (name,) in guarded} == {table.name for table in GUARDED} | {"watch_rule"}
    everything = await rows("SELECT tablename FROM pg_tables WHERE schemaname = 'tasks'")
    assert {name for (name,) in everything} - {name for (name,) in guarded} == UNGUARDED | {"schema_version"}


async def test_r36_the_role_owns_nothing_and_passes_no_policy(rows):
    flags = "SELECT rolsuper, rolbypassrls, rolcanlogin, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = :role"
    assert await rows(flags, role="tasks_caller") == [(False,) * 5]
    owned = "SELECT count(*) FROM pg_class WHERE relowner = 'tasks_caller'::regrole"
    assert await rows(owned) == [(0,)]


@pytest.mark.parametrize("caller", [None, "another"])
async def test_r36_without_a_membership_there_are_no_rows(neighbours, caller):
    await bind(neighbours.connection, ROW_SECURITY.of(caller and uuid7()))
    for table in GUARDED:
        assert (await neighbours.connection.execute(select(key_of(table)))).all() == [], table.name


async def test_r36_a_caller_reads_writes_and_moves_nothing_of_another_workspace(neighbours):
    connection = neighbours.connection
    await bind(connection, ROW_SECURITY.of(neighbours.me))
    for table in GUARDED:
        key = key_of(table)
        assert (await connection.scalars(select(key))).all() == [neighbours.mine], table.name
        assert await neighbours.refused(insert(table).values(neighbours.rows[table.name])) == "42501", table.name
        assert await neighbours.refused(update(table).values({key.name: neighbours.other})) == "42501", table.name
        others = key == neighbours.other
        assert (await connection.execute(update(table).where(others).values({key.name: key}))).rowcount == 0
        assert (await connection.execute(delete(table).where(others))).rowcount == 0


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT FROM tasks.outbox",
        "SELECT FROM tasks.inbox",
        "DELETE FROM tasks.person",
        "SELECT FROM tasks.schema_version",
    ],
)
async def test_r36_what_requests_have_no_business_with_is_closed_to_them(neighbours, statement):
    await bind(neighbours.connection, ROW_SECURITY.of(neighbours.me))
    assert await neighbours.refused(text(statement)) == "42501"


async def test_r36_a_query_that_forgets_the_membership_shows_the_callers_rows_alone(settings, database, test_gateway):
    router = APIRouter(prefix="/broken", tags=["broken"])
    forgetful = select(METADATA.tables["tasks.task"].c.title)

    @router.get("/fresh")
    async def fresh(connection: FreshConnection) -> JSONResponse:
        return JSONResponse(list(await connection.scalars(forgetful)))

    @router.get("/read")
    async def read(connection: ReadConnection) -> JSONResponse:
        return JSONResponse(list(await connection.scalars(forgetful)))

    @router.get("/primary")
    async def primary(connection: PrimaryConnection) -> JSONResponse:
        return JSONResponse(list(await connection.scalars(forgetful)))

    @router.post("/write")
    async def write(write: Writing) -> JSONResponse:
        return JSONResponse(list(await write.session.scalars(forgetful)))

    app = guarded_app(settings, database)
    serve_routes(app, (router,))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://tasks") as client:
        callers = {name: test_gateway.headers(uuid7()) for name in ("Ada's", "Ben's", "nobody's")}
        for title in ("Ada's", "Ben's"):
            made = await client.post("/api/v1/tasks", json={"title": title}, headers=callers[title])
            assert made.status_code == 201
        expected = {"Ada's": ["Ada's"], "Ben's": ["Ben's"], "nobody's": []}
        ways = [("GET", "fresh"), ("GET", "read"), ("GET", "primary"), ("POST", "write")] * 5
        answers = await asyncio.gather(
            *(
                client.request(method, f"/broken/{path}", headers=callers[who])
                for method, path in ways
                for who in callers
            )
        )
        assert [answer.json() for answer in answers] == [expected[who] for _ in ways for who in callers]
        without = await client.get("/broken/read")
        assert without.json() == []


@pytest.fixture
async def one_connection(database_settings: DatabaseSettings) -> AsyncIterator[Database]:
    found = open_database(database_settings.model_copy(update={"pool_size": 1}), application_name="tasks-one")
    yield found
    await found.close()


async def test_r36_a_connection_that_is_used_again_belongs_to_whom_it_is_taken_for(one_connection):
    first, second = ROW_SECURITY.of(uuid7()), ROW_SECURITY.of(uuid7())

    async def seen(way: Any, bound: Bound | None) -> tuple[Any, ...]:
        async with way(one_connection, bound) as connection:
            return tuple((await connection.execute(CURRENT)).one())

    for way in (reading, reading_primary):
        owner = (await seen(way, None))[0]
        assert owner != ROW_SECURITY.role
        for bound in (first, first, second, ROW_SECURITY.of(None), first):
            assert await seen(way, bound) == (ROW_SECURITY.role, bound.caller)
        assert await seen(way, None) in {(owner, ""), (owner, None)}


async def test_r36_what_was_told_for_one_transaction_begins_no_other(one_connection):
    """It is told with the first statement, and there may be none."""
    async with transaction(one_connection) as session:
        await bind(session, ROW_SECURITY.of(uuid7()))
    async with transaction(one_connection) as session:
        assert (await session.execute(CURRENT)).one().current_user != ROW_SECURITY.role


async def test_r36_a_binding_that_is_refused_ends_its_transaction_and_leaves_the_connection(one_connection):
    bound = ROW_SECURITY.of(uuid7())
    pid = text("SELECT pg_backend_pid()")
    async with transaction(one_connection) as session:
        before = await session.scalar(pid)
    for _ in range(2):
        with pytest.raises(DBAPIError, match="division by zero"):
            async with transaction(one_connection) as session:
                await bind(session, replace(bound, memberships="SELECT array_fill(NULL::uuid, ARRAY[1 / 0])"))
                await session.execute(CURRENT)
        async with transaction(one_connection) as session:
            assert (await session.execute(CURRENT)).one().current_user != ROW_SECURITY.role
            await session.execute(text("SAVEPOINT one_that_needs_a_transaction"))
            assert await session.scalar(pid) == before
    async with transaction(one_connection) as session:
        await bind(session, bound)
        assert tuple((await session.execute(CURRENT)).one()) == (ROW_SECURITY.role, bound.caller)


async def test_r36_each_read_goes_by_what_its_caller_is_a_member_of_when_it_begins(one_connection, rows):
    caller, workspace = uuid7(), uuid7()
    statement = select(func.count().label("workspaces")).where(WORKSPACE.c.id == workspace)
    await rows(ADDED_WORKSPACE, id=workspace)

    async def seen(bound: Bound | None) -> set[int]:
        async with reading(one_connection, bound) as connection:
            found = await connection.scalar(statement)
        async with reading_directly(one_connection, bound) as reader:
            first = (await reader.execute(statement, {})).mappings().one()
        return {found, first["workspaces"]}

    assert await seen(ROW_SECURITY.of(caller)) == {0}
    joined = "INSERT INTO tasks.member VALUES (uuidv7(), :workspace, :caller, 'member', 1, 1, now())"
    await rows(joined, workspace=workspace, caller=caller)
    assert await seen(ROW_SECURITY.of(caller)) == {1}
    assert await seen(ROW_SECURITY.of(uuid7())) == {0}
    assert await seen(ROW_SECURITY.of(caller)) == {1}
    assert await seen(None) == {1}
    assert await seen(ROW_SECURITY.of(None)) == {0}
    await rows("DELETE FROM tasks.member WHERE user_id = :caller", caller=caller)
    assert await seen(ROW_SECURITY.of(caller)) == {0}


async def test_r36_what_nobody_asks_for_is_bound_to_nobody_and_keeps_no_memberships(one_connection):
    kept = select(func.current_setting(ROW_SECURITY.kept, True).label("kept"))
    for bound, wanted in ((ROW_SECURITY.of(uuid7()), "{}"), (None, "")):
        async with reading_directly(one_connection, bound) as reader:
            assert (await reader.execute(kept, {})).mappings().one()["kept"] == wanted


async def test_r36_a_connection_that_is_made_again_is_bound_again(one_connection, rows):
    bound = ROW_SECURITY.of(uuid7())
    async with reading(one_connection, bound) as connection:
        pid = await connection.scalar(text("SELECT pg_backend_pid()"))
        await rows("SELECT pg_terminate_backend(:pid)", pid=pid)
        with pytest.raises(DBAPIError):
            await connection.execute(CURRENT)
        await connection.rollback()
        assert tuple((await connection.execute(CURRENT)).one()) == (ROW_SECURITY.role, bound.caller)
        assert await connection.scalar(text("SELECT pg_backend_pid()")) != pid


async def test_r36_beyond_memberships_is_a_block_of_one_transaction(database, rows):
    workspace = uuid7()
    counted = select(func.count()).where(WORKSPACE.c.id == workspace)
    await rows(ADDED_WORKSPACE, id=workspace)
    async with transaction(database) as session:
        await bind(session, ROW_SECURITY.of(uuid7()))
        assert await session.scalar(counted) == 0
        async with beyond_memberships(session, "a test"):
            async with beyond_memberships(session, "a test inside"):
                assert await session.scalar(counted) == 1
            assert await session.scalar(counted) == 1
        assert await session.scalar(counted) == 0
    async with transaction(database) as session:
        assert await session.scalar(counted) == 1


async def test_r36_what_is_joined_beyond_memberships_stays_within_reach(database, rows):
    joined, bound = uuid7(), ROW_SECURITY.of(uuid7())
    await rows(ADDED_WORKSPACE, id=joined)
    counted = select(func.count()).where(WORKSPACE.c.id == joined)
    async with transaction(database) as session:
        await bind(session, bound)
        async with beyond_memberships(session, "a test"):
            await session.execute(text(f"SELECT {MARKS}"))
            await session.execute(text(ADDED_MEMBER), {"workspace": joined, "user": UUID(bound.caller)})
        assert await session.scalar(counted) == 1


async def test_r36_a_transaction_keeps_what_its_caller_was_a_member_of(neighbours):
    connection = neighbours.connection
    bound = ROW_SECURITY.of(neighbours.me)
    await bind(connection, bound)
    member = METADATA.tables["tasks.member"]
    await connection.execute(delete(member).where(member.c.user_id == neighbours.me))
    assert (await connection.scalars(select(WORKSPACE.c.id))).all() == [neighbours.mine]
    await bind(connection, ROW_SECURITY.of(neighbours.somebody))
    assert (await connection.scalars(select(WORKSPACE.c.id))).all() == [neighbours.other]
    await bind(connection, bound)
    assert (await connection.scalars(select(WORKSPACE.c.id))).all() == []


@pytest.fixture
async def guarded(settings: Settings, database: Database, roster: Any) -> AsyncIterator[Any]:
    """The team, whose requests the policies bind."""
    transport = httpx2.ASGITransport(app=guarded_app(settings, database))
    async with httpx2.AsyncClient(transport=transport, base_url="http://tasks") as client:
        yield replace(roster, api=client)


async def test_r36_who_is_removed_while_a_change_is_made_is_not_failed_by_it(guarded, database, rows):
    task = await guarded.task()
    async with database.writer.begin() as connection:
        await connection.execute(text(HOLD_COUNTER), {"workspace": guarded.workspace_id})
        path, body = f"/tasks/{task['id']}", {"title": "b"}
        change = asyncio.create_task(guarded.ask("editor", "PATCH", path, body))

        async def waits() -> bool:
            return (await rows(WAITING)) == [(1,)]

        await eventually(waits)
        # Nothing in the service does that without telling; see model/telling.py.
        removed = text(by_hand("DELETE FROM tasks.member WHERE user_id = :id"))
        await connection.execute(removed, {"id": guarded.ids["editor"]})
    answer = await change
    assert (answer.status_code, answer.json()["data"]["title"]) == (200, "b")
    assert (await guarded.ask("editor", "GET", path)).status_code == 404


async def test_r36_an_export_of_the_audit_is_bound(guarded, database):
    await guarded.task()
    owner = Principal(guarded.ids["owner"], uuid7())

    async def exported(bound: Bound) -> bytes:
        lines = export_audit(database, bound, caller=owner, workspace_id=guarded.workspace_id, wanted=AuditFilter())
        return b"".join([part async for part in lines])

    assert b"task.created" in await exported(ROW_SECURITY.of(owner.user_id))
    assert await exported(ROW_SECURITY.of(uuid7())) == b""


def test_r36_a_migration_says_that_the_role_is_missing(postgres_url, worker_id):
    with pytest.raises(DBAPIError, match=r"requests run as the role tasks_caller, .* may not become"):
        owned_database(postgres_url, f"tasks_roleless_{worker_id}", lambda url: upgrade(ROOT, url=url))
