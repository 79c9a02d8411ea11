"""The guard of the guard: what is written without an entry of the log is noted, whatever it is (model/telling.py)."""

import runpy
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from chassis.db.migrations import upgrade
from chassis.ids import uuid7
from tasks_service.db import ROOT
from testkit.by_hand import by_hand
from testkit.databases import migrated_database

TELLING = runpy.run_path(str(Path(__file__).parent / "model" / "telling.py"))
MOVE_HEAD = "UPDATE tasks.change_counter SET last_seq = last_seq + 1 WHERE workspace_id = $1"
WORKSPACE = """
WITH place AS (
    INSERT INTO tasks.workspace (id, name, version, created_by, created_at, updated_at)
    VALUES ($1, 'W', 1, $2, now(), now()) RETURNING id
), head AS (INSERT INTO tasks.change_counter (workspace_id, last_seq) SELECT id, 0 FROM place RETURNING 1)
INSERT INTO tasks.member SELECT uuidv7(), id, $2, 'owner', 1, 1, now() FROM place
"""


@pytest.fixture(scope="module")
def watched(postgres_url, worker_id):
    """The URL of a database of its own, which is watched."""
    found = migrated_database(postgres_url, f"tasks_telling_{worker_id}", lambda url: upgrade(ROOT, url=url))
    return found.url.get_secret_value()


@pytest.fixture
async def driver(watched):
    connection = await asyncpg.connect(watched)
    yield connection
    await connection.close()


async def test_what_is_written_without_an_entry_of_the_log_is_noted(watched, driver):
    place, other = uuid7(), uuid7()
    for one in (place, other):
        await driver.execute(WORKSPACE, one, uuid7())
    await TELLING["watch"](watched)
    role = "UPDATE tasks.member SET role = '{}' WHERE workspace_id = $1"

    async def noted(*statements: tuple[Any, ...]) -> list[tuple[str, str, str]]:
        await driver.execute("DELETE FROM public.untold")
        async with driver.transaction():
            for statement, *values in statements:
                # As a use case may do it: within a savepoint.
                async with driver.transaction():
                    await driver.execute(statement, *values)
        return await TELLING["untold"](watched)

    told = role.format("admin"), place
    untold = [("member", "UPDATE", "role")]
    assert await noted(told) == untold
    assert await noted(told) == []
    assert await noted((role.format("member"), place), (MOVE_HEAD, place)) == []
    assert await noted((MOVE_HEAD, other), told) == untold
    assert await noted((by_hand(role.format("guest")), place)) == []
    assert await noted((MOVE_HEAD, place), (role.format("owner"), place)) == []
    with pytest.raises(asyncpg.RaiseError, match="does not move"):
        await driver.execute("UPDATE tasks.change_counter SET last_seq = last_seq WHERE workspace_id = $1", place)
    # What moves is looked for where it was, and where it comes to.
    away = "UPDATE tasks.member SET workspace_id = $2 WHERE workspace_id = $1", place, other
    assert await noted((MOVE_HEAD, place), away) == [("member", "UPDATE", "workspace_id")]
