"""The release before runs on the schema of this one: all its statements, with the values that it wrote (R42, Q5)."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from chassis.db.migrations import upgrade
from chassis.settings import DatabaseSettings
from tasks_service.db import ROOT, ROW_SECURITY
from testkit.databases import owned_database
from testkit.previous import load, play

RECORDING = load(Path(__file__).with_name("statements.jsonl.gz"))
INCOMPLETE = {
    "tasks without a number, a position or the category of their status": """
        SELECT count(*) FROM tasks.task LEFT JOIN tasks.status
            ON status.project_id = task.project_id AND status.key = task.status
        WHERE number IS NULL OR task.position IS NULL OR status_category IS DISTINCT FROM status.category
    """,
    "numbers given twice": "SELECT count(*) - count(DISTINCT (project_id, number)) FROM tasks.task",
    "projects without a prefix": "SELECT count(*) FROM tasks.project WHERE prefix IS NULL",
    "projects without the four statuses": """
        SELECT count(*) FROM tasks.project
        WHERE 4 <> (SELECT count(*) FROM tasks.status WHERE status.project_id = project.id)
    """,
}


@pytest.fixture(scope="session")
def owned(postgres_url: str, worker_id: str) -> DatabaseSettings:
    """A database whose migrations were run by what serves it: no superuser, but the owner of the tables."""
    return owned_database(
        postgres_url, f"tasks_owned_{worker_id}", lambda url: upgrade(ROOT, url=url), becomes=ROW_SECURITY.role
    )


@pytest.fixture
async def connection(owned: DatabaseSettings) -> AsyncIterator[asyncpg.Connection]:
    found = await asyncpg.connect(owned.url.get_secret_value())
    yield found
    await found.close()


async def test_r42_every_statement_of_the_previous_release_can_be_planned(connection):
    for statement in RECORDING.statements:
        await connection.prepare(statement)


@pytest.mark.parametrize("steps", RECORDING.tests.values(), ids=range(len(RECORDING.tests)))
async def test_r42_what_the_previous_release_does_has_the_same_result(connection, steps):
    transaction = connection.transaction()
    await transaction.start()
    for step in steps:
        await play(connection, step)
    for what, query in INCOMPLETE.items():
        assert await connection.fetchval(query) == 0, what
    await transaction.rollback()
