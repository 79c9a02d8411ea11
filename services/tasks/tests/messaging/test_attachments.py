"""What happens to files is in the change log: under the id of its event, once, and for who sees the task."""

import asyncio
from uuid import UUID

import pytest
from chassis.broker.consumer import ConsumerRunner
from chassis.broker.port import Message
from chassis.broker.streams import StreamsTransport
from chassis.clock import rfc3339, utcnow
from chassis.db.base import table_of
from chassis.ids import uuid7
from chassis.outbox.envelope import EventEnvelope
from sqlalchemy import select
from tasks_service.attachments.consumers import SOURCE_NAME, on_attachment
from tasks_service.changes.models import Change
from tasks_service.db import Inbox
from tasks_service.relay import envelope_of

CREATED, DELETED = "attachment.created.v1", "attachment.deleted.v1"
LOGGED = """
    SELECT event_id, type, task_id, project_id, version, actor, audience, request_id, changes, resource
    FROM tasks.change WHERE entity_id = :id ORDER BY seq
"""


class Files:
    """Files of tasks as the attachments service tells of them."""

    def __init__(self, runner, team):
        self._runner = runner
        self.team = team

    def event(self, event_type, file, task, *, version=1, by="editor", **data):
        owner = self.team.id(by)
        return EventEnvelope(
            event_id=uuid7(),
            type=event_type,
            source=SOURCE_NAME,
            subject=file,
            occurred_at=utcnow(),
            stream_id=file,
            sequence=version,
            data={
                "entity_type": "attachment",
                "version": version,
                "actor": {"type": "user", "id": owner, "via": "session"},
                "request_id": "upload-of-a-file",
                "resource": {
                    "id": str(file),
                    "task_id": task["id"],
                    "workspace_id": str(self.team.workspace_id),
                    "name": "plan.pdf",
                    "size": 7,
                    "sha256": "0" * 64,
                    "content_type": "application/pdf",
                    "created_by": owner,
                    "version": 1,
                    "created_at": "2026-11-24T09:05:00Z",
                },
                **data,
            },
        )

    async def take(self, *events):
        for event in events:
            await self._runner.handle(Message(str(event.event_id), event.type, str(event.stream_id), event.to_json()))


@pytest.fixture
def told(database, valkey_url, roster):
    transport = StreamsTransport(valkey_url, prefix="unused")
    return Files(ConsumerRunner(database, table_of(Inbox), transport, on_attachment), roster)


async def test_k7_files_are_in_the_change_log_under_the_ids_of_their_events(roster, told, rows):
    task, file = await roster.task(), uuid7()
    came, went = told.event(CREATED, file, task), told.event(DELETED, file, task, version=2)
    await told.take(came, came, went, went)
    added, taken = await rows(LOGGED, id=file)
    actor = {"type": "user", "id": roster.id("editor"), "via": "session"}
    place = (UUID(task["id"]), roster.project_id)
    assert added[:6] == (came.event_id, CREATED, *place, 1, actor)
    assert set(added[6]) == set(roster.ids.values()) - {roster.ids["guest"], roster.ids["stranger"]}
    assert added[7] == "upload-of-a-file"
    assert {"field": "name", "old": None, "new": "plan.pdf"} in added[8]
    assert added[9] == came.data["resource"]
    assert taken[:6] == (went.event_id, DELETED, *place, 2, actor)
    assert taken[8] == [{"field": "name", "old": "plan.pdf", "new": None}]
    ((at,),) = await rows("SELECT occurred_at FROM tasks.change WHERE event_id = :id", id=came.event_id)
    assert rfc3339(at) == rfc3339(came.occurred_at)


async def test_k7_a_delivery_after_the_inbox_is_forgotten_records_nothing_twice(roster, told, rows):
    task, file = await roster.task(), uuid7()
    came = told.event(CREATED, file, task)
    await told.take(came)
    await rows("DELETE FROM tasks.inbox WHERE event_id = :id", id=came.event_id)
    await told.take(came, told.event(DELETED, file, task, version=2), told.event(CREATED, file, task))
    assert [row[1] for row in await rows(LOGGED, id=file)] == [CREATED, DELETED]


async def test_k7_our_own_telling_comes_back_and_changes_nothing(roster, told, rows, database):
    """It has the id of the event that it came of, which has to stay free for that, whichever of the two is first."""
    task, file = await roster.task(), uuid7()
    came = told.event(CREATED, file, task)
    await told.take(came.model_copy(update={"source": "/taskloom/tasks", "sequence": 900}), came)
    [row] = await rows(LOGGED, id=file)
    async with database.reader.connect() as reader:
        found = await reader.execute(select(table_of(Change)).where(table_of(Change).c.event_id == row[0]))
        ours = envelope_of(found.mappings().one())
    assert (ours.source, ours.event_id, ours.stream_id) == ("/taskloom/tasks", came.event_id, roster.workspace_id)
    await told.take(ours)
    assert len(await rows(LOGGED, id=file)) == 1


async def test_k7_files_of_tasks_that_are_gone_and_files_told_of_again_are_no_changes(roster, told, rows):
    task, gone, file = await roster.task(), await roster.task(), uuid7()
    await roster.ok("owner", "DELETE", f"/tasks/{gone['id']}?permanent=true")
    nobody = {"id": str(uuid7())}
    again = told.event(CREATED, file, task, actor=None, audience=[])
    await told.take(told.event(CREATED, uuid7(), nobody), told.event(DELETED, file, gone, version=2), again)
    assert await rows(LOGGED, id=file) == []


async def test_k7_a_file_of_a_task_in_the_trash_is_told_of(roster, told, rows):
    task, file = await roster.task(), uuid7()
    await roster.ok("owner", "DELETE", f"/tasks/{task['id']}")
    await told.take(told.event(DELETED, file, task, version=2))
    assert [row[1] for row in await rows(LOGGED, id=file)] == [DELETED]


async def test_k7_the_history_of_a_task_shows_its_files_and_undo_leaves_them_alone(roster, told):
    task, file = await roster.task(), uuid7()
    await told.take(told.event(CREATED, file, task))
    history = await roster.ok("editor", "GET", f"/tasks/{task['id']}/history")
    [shown] = [one for one in history if one["entity_type"] == "attachment"]
    assert (shown["type"], shown["entity_id"], shown["request_id"]) == (
        "attachment.created",
        str(file),
        "upload-of-a-file",
    )
    assert shown["actor"]["id"] == roster.id("editor")
    answer = await roster.ask("editor", "POST", "/operations/upload-of-a-file/undo")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, "NOT_FOUND")


async def test_k7_many_files_at_once_are_each_recorded_once_and_without_gaps(roster, told, rows):
    tasks = [await roster.task() for _ in range(4)]
    events = [told.event(CREATED, uuid7(), tasks[number % 4]) for number in range(20)]
    # Each is delivered twice at the same time.
    await asyncio.gather(*(told.take(event) for event in events * 2))
    found = await rows("SELECT seq, type, event_id FROM tasks.change WHERE workspace_id = :w", w=roster.workspace_id)
    assert sorted(seq for seq, _, _ in found) == list(range(1, len(found) + 1))
    assert sorted(one for _, kind, one in found if kind == CREATED) == sorted(one.event_id for one in events)
