"""Telling again of what is there, for services that began to listen later."""

import asyncio
from uuid import UUID

from attachments_service.attachments import service
from chassis.db.transactions import transaction
from chassis.ids import uuid7
from sqlalchemy import text
from testkit.waiting import eventually

MORE = """
    INSERT INTO attachments.attachment
    SELECT uuidv7(), :task, :workspace, n || '.txt', 1, '', 'text/plain', :by, 1, now()
    FROM generate_series(1, :count) AS n
"""
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'DELETE%attachment%'"


async def test_d5_every_file_is_told_of_again_as_it_is_and_to_nobody(command, attach, published):
    kept = await attach(name="kept.pdf")
    for name in ("another.pdf", "one more.pdf"):
        await attach(name=name)
    before = len(await published())
    for _ in range(2):
        assert await command("tell-attachments") == (0, "", "")
    told = (await published())[before:]
    assert len(told) == 6
    assert len({one.event_id for one in told}) == 6
    assert {(one.type, one.sequence) for one in told} == {("attachment.created.v1", 1)}
    first = next(one for one in told if str(one.stream_id) == kept["id"])
    assert {name: first.data[name] for name in ("entity_id", "version", "audience", "resource")} == {
        "entity_id": kept["id"],
        "version": 1,
        "audience": [],
        "resource": kept,
    }
    assert first.data["actor"] is None


async def test_d5_files_are_told_of_a_batch_in_a_transaction(database, world, published):
    more = {"task": world.task_id, "workspace": world.workspace_id, "by": uuid7(), "count": service.TOLD_AT_ONCE + 1}
    async with database.writer.begin() as connection:
        await connection.execute(text(MORE), more)
    told, last = [], UUID(int=0)
    while last is not None:
        async with transaction(database) as session:
            last = await service.tell_files(session, after=last)
        told.append(len(await published()))
    assert told == [service.TOLD_AT_ONCE, service.TOLD_AT_ONCE + 1, service.TOLD_AT_ONCE + 1]


async def test_d5_that_a_file_is_gone_is_told_last(api, database, world, attach, published):
    file = await attach()

    async def is_waiting():
        async with database.writer.connect() as connection:
            return await connection.scalar(text(WAITING)) == 1

    async with asyncio.TaskGroup() as group, transaction(database) as session:
        await service.tell_files(session, after=UUID(int=0))
        path = f"/api/v1/attachments/{file['id']}"
        deleting = group.create_task(api.delete(path, headers=world.headers("member")))
        await eventually(is_waiting)
    assert deleting.result().status_code == 200
    assert [one.type for one in await published()] == [
        "attachment.created.v1",
        "attachment.created.v1",
        "attachment.deleted.v1",
    ]
