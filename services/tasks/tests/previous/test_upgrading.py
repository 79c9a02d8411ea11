"""The schema of the previous release is brought up to date while that release goes on writing (R42, Q5)."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from chassis.db.engine import Database, open_database
from chassis.db.migrations import upgrade
from chassis.ids import uuid7
from chassis.settings import DatabaseSettings
from tasks_service.db import ROOT, ROW_SECURITY
from testkit.databases import owned_database
from testkit.previous import load
from testkit.waiting import eventually

RECORDING = load(Path(__file__).with_name("statements.jsonl.gz"))
PREVIOUS_REVISION = "0003"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
DONE = {"status": "done", "completed_at": NOW, "completed_by": uuid7()}
STATES = (
    {"status": "todo"},
    {"status": "in_progress"},
    {"status": "cancelled"},
    DONE,
    {"status": "todo", "deleted_at": NOW},
    {**DONE, "deleted_at": NOW},
)
TASKS = 2_500
LABELLED = """
    UPDATE tasks.task SET labels = ARRAY[gen_random_uuid()], updated_at = clock_timestamp(),
        deleted_at = CASE WHEN number % 5 = 0 THEN now() END
    WHERE id IN (SELECT id FROM tasks.task WHERE number % 7 = {} ORDER BY id FOR UPDATE)
"""
MISFITS = """
    WITH wanted AS (
        SELECT id, mark, project_id, status, priority_rank, due_sort, updated_at
        FROM tasks.task, unnest(assignees || labels) AS mark WHERE deleted_at IS NULL
    ),
    kept AS (SELECT task_id, mark, project_id, status, priority_rank, due_sort, updated_at FROM tasks.task_mark)
    (TABLE wanted EXCEPT TABLE kept) UNION ALL (TABLE kept EXCEPT TABLE wanted)
"""
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


class PreviousRelease:
    """Writes as the previous release does: by its statements, through a pool like its own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.projects: list[tuple[UUID, UUID]] = []
        self.tasks = 0

    async def add_workspace(self, *, projects: int) -> None:
        workspace, owner = uuid7(), uuid7()
        async with self._database.writer.begin() as connection:
            await self._insert(connection, "workspace", id=workspace, personal_owner_id=owner, created_by=owner)
            await self._insert(connection, "member", id=uuid7(), workspace_id=workspace, user_id=owner, role="owner")
            for number in range(projects):
                project = uuid7()
                await self._insert(
                    connection, "project", id=project, workspace_id=workspace, name="Ours", is_inbox=number == 0
                )
                self.projects.append((workspace, project))

    async def add_tasks(self, count: int) -> None:
        async with self._database.writer.begin() as connection:
            for number in range(self.tasks, self.tasks + count):
                workspace, project = self.projects[number % len(self.projects)]
                state = STATES[number % len(STATES)]
                empty = {"completed_at": None, "completed_by": None, "deleted_at": None}
                values = {"id": uuid7(), "workspace_id": workspace, "project_id": project, **empty, **state}
                await self._insert(connection, "task", **values)
        self.tasks += count

    async def finish_a_task(self) -> None:
        """Change a task that was there before, as the previous release does: by its columns of then."""
        async with self._database.writer.begin() as connection:
            await connection.exec_driver_sql(
                "UPDATE tasks.task SET status = $1::VARCHAR, completed_at = $2::TIMESTAMP WITH TIME ZONE,"
                " version = version + 1"
                " WHERE id = (SELECT id FROM tasks.task WHERE status = 'todo' AND deleted_at IS NULL LIMIT 1"
                " FOR UPDATE SKIP LOCKED) RETURNING id, status, version",
                ("done", NOW),
            )

    async def write_until(self, event: asyncio.Event) -> int:
        rounds = 0
        while not event.is_set():
            await self.add_tasks(5)
            await self.finish_a_task()
            rounds += 1
            if rounds % 20 == 0:
                await self.add_workspace(projects=2)
        return rounds

    async def _insert(self, connection: Any, table: str, **values: Any) -> None:
        recorded = RECORDING.first(f"INSERT INTO tasks.{table} (")
        columns = re.findall(r"\w+", recorded.sql.partition("(")[2].partition(")")[0])
        filled = {**dict(zip(columns, recorded.parameters, strict=False)), **values}
        assert filled.keys() >= set(columns)
        unknown = [name for name in values if name not in columns and values[name] is not None]
        sql, parameters = recorded.sql, tuple(filled[column] for column in columns)
        for name in unknown:
            # What the recorded statement leaves out, such as the trash: an old row may have it.
            parameters = (*parameters, values[name])
            sql = sql.replace(") VALUES (", f", {name}) VALUES (", 1)
            sql = re.sub(r"\)(?= RETURNING| ON CONFLICT|$)", f", ${len(parameters)})", sql, count=1)
        await connection.exec_driver_sql(sql, parameters)


@pytest.fixture
async def settings_of_then(postgres_url: str, worker_id: str) -> DatabaseSettings:
    def migrate(url: str) -> None:
        upgrade(ROOT, url=url, revision=PREVIOUS_REVISION)

    return await asyncio.to_thread(
        owned_database, postgres_url, f"tasks_before_{worker_id}", migrate, becomes=ROW_SECURITY.role
    )


@pytest.fixture
async def database_of_then(settings_of_then: DatabaseSettings) -> AsyncIterator[Database]:
    found = open_database(settings_of_then, application_name="tasks-before")
    yield found
    await found.close()


async def test_r42_a_lock_that_is_held_for_long_delays_the_migration_and_nobody_else(
    settings_of_then, database_of_then
):
    release = PreviousRelease(database_of_then)
    await release.add_workspace(projects=1)
    async with database_of_then.writer.connect() as reader:
        await reader.exec_driver_sql("SELECT FROM tasks.task")
        migrating = asyncio.create_task(
            asyncio.to_thread(upgrade, ROOT, url=settings_of_then.url.get_secret_value(), revision="0004")
        )
        async with database_of_then.primary.connect() as watcher:

            async def waiting(*, expected: int) -> bool:
                return (await watcher.exec_driver_sql(WAITING)).scalar_one() == expected

            await eventually(lambda: waiting(expected=1), seconds=30)
            await eventually(lambda: waiting(expected=0), seconds=30)
        await release.add_tasks(1)
        await reader.rollback()
    await migrating


async def test_r42_the_schema_changes_under_a_release_that_goes_on_writing(settings_of_then, database_of_then):
    release = PreviousRelease(database_of_then)
    for _ in range(3):
        await release.add_workspace(projects=2)
    for _ in range(TASKS // 100):
        await release.add_tasks(100)
    upgraded = asyncio.Event()
    writing = asyncio.create_task(release.write_until(upgraded))
    await asyncio.to_thread(upgrade, ROOT, url=settings_of_then.url.get_secret_value())
    upgraded.set()
    rounds = await writing
    await release.add_tasks(5)
    assert rounds > 0
    async with database_of_then.primary.connect() as connection:

        async def counted(query: str) -> int:
            return (await connection.exec_driver_sql(query)).scalar_one()

        assert await counted("SELECT count(*) FROM tasks.task") == release.tasks
        assert await counted("SELECT count(DISTINCT (project_id, number)) FROM tasks.task") == release.tasks
        assert await counted("SELECT count(DISTINCT (project_id, position)) FROM tasks.task") == release.tasks
        assert await counted("SELECT count(*) FROM tasks.task WHERE number IS NULL OR position IS NULL") == 0
        assert await counted("SELECT count(*) FROM tasks.task WHERE status_category = status") == release.tasks
        assert await counted("SELECT count(DISTINCT (workspace_id, prefix)) FROM tasks.project") == len(
            release.projects
        )
        assert await counted("SELECT count(*) FROM tasks.status") == 4 * len(release.projects)
        assert await counted("SELECT count(*) FROM tasks.search_document WHERE id = task_id") == release.tasks
        numbered = "SELECT count(*) FROM tasks.project WHERE next_number <> 1 + ("
        numbered += "SELECT coalesce(max(number), 0) FROM tasks.task WHERE task.project_id = project.id)"
        assert await counted(numbered) == 0


async def test_r42_marks_of_tasks_that_are_there_are_filled_in_while_they_change(settings_of_then, database_of_then):
    url = settings_of_then.url.get_secret_value()
    await asyncio.to_thread(upgrade, ROOT, url=url, revision="0027")
    release = PreviousRelease(database_of_then)
    await release.add_workspace(projects=2)
    await release.add_tasks(TASKS)
    upgraded = asyncio.Event()

    async def change_some() -> int:
        number = 0
        while not upgraded.is_set():
            async with database_of_then.writer.begin() as connection:
                await connection.exec_driver_sql(LABELLED.format(number % 7))
            number += 1
        return number

    async with database_of_then.writer.begin() as connection:
        for part in range(3):
            await connection.exec_driver_sql(LABELLED.format(part))
    changing = asyncio.create_task(change_some())
    await asyncio.to_thread(upgrade, ROOT, url=url)
    upgraded.set()
    assert await changing > 0
    async with database_of_then.primary.connect() as connection:
        marks = (await connection.exec_driver_sql("SELECT count(*) FROM tasks.task_mark")).scalar_one()
        assert marks > TASKS // 4
        assert (await connection.exec_driver_sql(MISFITS)).all() == []


async def test_r42_what_is_written_after_each_single_trigger_is_complete_in_the_end(
    settings_of_then, database_of_then, postgres_url
):
    """After each `CREATE TRIGGER`, and before the next one, the previous release makes a task that is done."""
    release = PreviousRelease(database_of_then)
    await release.add_workspace(projects=1)
    await release.add_tasks(len(STATES))
    url = settings_of_then.url.get_secret_value()
    columns = "SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute"
    columns += " WHERE attrelid = 'tasks.task'::regclass AND attnum > 0 AND attname <> 'id'"
    async with database_of_then.primary.connect() as connection:
        kept = (await connection.exec_driver_sql(columns)).scalar_one()
    another = (
        "INSERT INTO tasks.task (id, {0}) SELECT gen_random_uuid(), {0} FROM tasks.task WHERE status = 'done' LIMIT 1"
    )
    superuser = await asyncpg.connect(f"{postgres_url}/{url.rpartition('/')[2]}")
    await superuser.execute(
        "CREATE FUNCTION public.write_meanwhile() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS"
        f" $$ BEGIN {another.format(kept)}; END $$;"
        " CREATE EVENT TRIGGER meanwhile ON ddl_command_end WHEN TAG IN ('CREATE TRIGGER')"
        " EXECUTE FUNCTION public.write_meanwhile()"
    )
    await superuser.close()
    await asyncio.to_thread(upgrade, ROOT, url=url)
    async with database_of_then.primary.connect() as connection:
        counts = "SELECT count(*) >= 8, count(*) FILTER (WHERE status_category = status) = count(*),"
        counts += " count(DISTINCT number) = count(*), count(position) = count(*),"
        counts += " count(*) = (SELECT count(*) FROM tasks.search_document) FROM tasks.task"
        assert tuple((await connection.exec_driver_sql(counts)).one()) == (True, True, True, True, True)


async def test_r42_marks_of_what_is_changed_between_their_triggers_are_those_of_the_tasks(
    settings_of_then, database_of_then, postgres_url
):
    """After each `CREATE TRIGGER` a task is labelled or made, and before the next one all tasks are changed."""
    url = settings_of_then.url.get_secret_value()
    await asyncio.to_thread(upgrade, ROOT, url=url, revision="0027")
    release = PreviousRelease(database_of_then)
    await release.add_workspace(projects=1)
    await release.add_tasks(1)
    columns = "SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute WHERE attrelid = 'tasks.task'::regclass"
    columns += " AND attnum > 0 AND attname NOT IN ('id', 'labels', 'number', 'position')"
    async with database_of_then.primary.connect() as connection:
        kept = (await connection.exec_driver_sql(columns)).scalar_one()
    make = (
        "INSERT INTO tasks.task (id, labels, {0}) SELECT gen_random_uuid(), ARRAY[gen_random_uuid()], {0}"
        " FROM tasks.task LIMIT 1"
    )
    change = "UPDATE tasks.task SET labels = ARRAY[gen_random_uuid()], updated_at = clock_timestamp()"
    superuser = await asyncpg.connect(f"{postgres_url}/{url.rpartition('/')[2]}")
    for name, event, body in (("first", "start", change), ("later", "end", make.format(kept))):
        await superuser.execute(
            f"CREATE FUNCTION public.{name}() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS"
            f" $$ BEGIN {body}; END $$;"
            f" CREATE EVENT TRIGGER {name} ON ddl_command_{event} WHEN TAG IN ('CREATE TRIGGER')"
            f" EXECUTE FUNCTION public.{name}()"
        )
    await superuser.close()
    await asyncio.to_thread(upgrade, ROOT, url=url)
    async with database_of_then.primary.connect() as connection:
        assert (await connection.exec_driver_sql("SELECT count(*) FROM tasks.task_mark")).scalar_one() == 3
        assert (await connection.exec_driver_sql(MISFITS)).all() == []
