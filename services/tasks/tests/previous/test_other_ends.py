"""What the log has of relations from before it had their other ends gets them, and nothing else does (R42)."""

import asyncio

import asyncpg
from chassis.db.migrations import upgrade
from chassis.ids import uuid7
from tasks_service.db import ROOT, ROW_SECURITY
from testkit.databases import owned_database

WORKSPACE = "INSERT INTO tasks.workspace VALUES ($1, 'W', NULL, $1, 1, now(), now())"
ENTRIES = """
    INSERT INTO tasks.change (workspace_id, seq, event_id, type, occurred_at, entity_type, entity_id, task_id, version,
        actor, changes, resource, audience, request_id, state)
    SELECT $1, n, uuidv7(), 'a.b.v1', now(), CASE WHEN n % 4 = 0 THEN 'task' ELSE 'relation' END, uuidv7(),
        CASE WHEN n % 2 = 0 THEN one ELSE other END, 1, '{}', '[]',
        jsonb_build_object('from_task_id', one, 'to_task_id', other), '{}', 'r', 'sent'
    FROM (SELECT n, uuidv7() AS one, uuidv7() AS other FROM generate_series(1, 3000) AS n) AS made
"""
WRONG = """
    SELECT count(*) FROM tasks.change WHERE related_task_id IS DISTINCT FROM CASE
        WHEN entity_type = 'relation'
        THEN (resource->>(CASE WHEN seq % 2 = 0 THEN 'to_task_id' ELSE 'from_task_id' END))::uuid
    END
"""


async def test_r42_relations_that_the_log_has_get_their_other_ends(postgres_url, worker_id):
    def before(url):
        upgrade(ROOT, url=url, revision="0015")

    settings = await asyncio.to_thread(
        owned_database, postgres_url, f"tasks_ends_{worker_id}", before, becomes=ROW_SECURITY.role
    )
    url = settings.url.get_secret_value()
    connection = await asyncpg.connect(url)
    workspace = uuid7()
    await connection.execute(WORKSPACE, workspace)
    await connection.execute(ENTRIES, workspace)
    assert await connection.fetchval(WRONG) == 2250
    await asyncio.to_thread(upgrade, ROOT, url=url)
    assert await connection.fetchval(WRONG) == 0
    await connection.close()
