"""What was there before a release that knows more is not taken for what happens after it (R42)."""

import asyncio

import asyncpg
import pytest
from chassis.db.migrations import upgrade
from chassis.ids import uuid7
from notifications_service.db import ROOT
from testkit.databases import create_database

BEFORE = "0011"
EVENT = """
    INSERT INTO notifications.stream_event (workspace_id, seq, type, audience, frame, occurred_at)
    VALUES ($1, $2, 'task.created.v1', '{}', '{}', now())
"""


@pytest.fixture
def old_url(postgres_url, worker_id):
    url = create_database(postgres_url, f"notifications_old_{worker_id}")
    upgrade(ROOT, url=url, revision=BEFORE)
    return url


async def test_k1_nobody_is_notified_of_what_happened_before_there_were_notifications(old_url):
    """The previous release, which goes on for a while, writes what is news."""
    workspace = uuid7()
    connection = await asyncpg.connect(old_url)
    try:
        await connection.execute(EVENT, workspace, 1)
        await asyncio.to_thread(upgrade, ROOT, url=old_url)
        await connection.execute(EVENT, workspace, 2)
        found = await connection.fetch("SELECT seq, quiet FROM notifications.stream_event ORDER BY seq")
    finally:
        await connection.close()
    assert [tuple(row) for row in found] == [(1, True), (2, None)]
