"""From events of attachments to names that are searched: once, in any order, for tasks that are there."""

import json
from pathlib import Path
from uuid import UUID

import pytest
from chassis.broker.consumer import ConsumerRunner
from chassis.broker.port import Message, Reject
from chassis.broker.streams import StreamsTransport
from chassis.clock import utcnow
from chassis.db.base import table_of
from chassis.ids import uuid7
from chassis.outbox.envelope import EventEnvelope
from tasks_service.attachments.consumers import on_attachment
from tasks_service.db import Inbox
from tasks_service.worker import CONSUMERS

CREATED, DELETED = "attachment.created.v1", "attachment.deleted.v1"
CONTRACTS = Path(__file__).parents[4] / "contracts" / "events" / "attachments"
DOCUMENTS = """
    SELECT kind, project_id, task_id, title, version, vector @@ tasks.search_query('shopping')
    FROM tasks.search_document WHERE id = :id
"""


def attachment_event(event_type, attachment, task, *, version=1, name="shopping-list.final.pdf"):
    return EventEnvelope(
        event_id=uuid7(),
        type=event_type,
        source="/taskloom/attachments",
        subject=attachment,
        occurred_at=utcnow(),
        stream_id=attachment,
        sequence=version,
        data={
            "entity_type": "attachment",
            "version": version,
            "actor": None,
            "resource": {
                "id": str(attachment),
                "task_id": task["id"],
                "workspace_id": str(uuid7()),
                "name": name,
                "size": 1,
                "sha256": "0" * 64,
                "content_type": "text/plain",
                "created_by": str(uuid7()),
                "version": 1,
                "created_at": "2026-11-24T09:05:00Z",
                "added_tomorrow": True,
            },
        },
    )


@pytest.fixture
def take(database, valkey_url):
    """Takes events in, one after the other, as the worker does."""

    async def take(*events):
        runner = ConsumerRunner(database, table_of(Inbox), StreamsTransport(valkey_url, prefix="unused"), on_attachment)
        for event in events:
            key = str(event.stream_id)
            await runner.handle(Message(str(event.event_id), event.type, key, event.to_json()))

    return take


async def test_d5_the_name_of_an_attachment_is_searched_until_it_is_deleted(roster, take, rows):
    task, attachment = await roster.task(), uuid7()
    created = attachment_event(CREATED, attachment, task)
    await take(created, created, attachment_event(CREATED, attachment, task, name="another shopping"))
    place = (roster.project_id, UUID(task["id"]))
    assert await rows(DOCUMENTS, id=attachment) == [("attachment", *place, "shopping-list.final.pdf", 1, True)]
    await take(attachment_event(DELETED, attachment, task, version=2))
    assert await rows(DOCUMENTS, id=attachment) == [("attachment", *place, None, 2, False)]


async def test_d5_a_creation_that_comes_after_the_deletion_brings_nothing_back(roster, take, rows):
    task, attachment = await roster.task(), uuid7()
    await take(attachment_event(DELETED, attachment, task, version=2), attachment_event(CREATED, attachment, task))
    assert [row[3:] for row in await rows(DOCUMENTS, id=attachment)] == [(None, 2, False)]


async def test_d5_an_attachment_of_a_task_that_is_gone_is_ignored(roster, take, rows):
    attachment = uuid7()
    await take(attachment_event(CREATED, attachment, {"id": str(uuid7())}))
    assert await rows(DOCUMENTS, id=attachment) == []


async def test_d5_an_event_takes_the_place_of_no_other_document(roster, take, rows):
    task = await roster.task(title="shopping")
    await take(attachment_event(CREATED, task["id"], task, version=9, name="mine"))
    assert [row[3:] for row in await rows(DOCUMENTS, id=task["id"])] == [("shopping", None, True)]


@pytest.mark.parametrize("event_type", [CREATED, DELETED])
async def test_d5_the_producers_examples_are_understood(roster, take, rows, event_type):
    task, attachment = await roster.task(), uuid7()
    example = json.loads((CONTRACTS / f"{event_type}.example.json").read_bytes())
    example["id"] = str(uuid7())
    example["data"]["resource"] |= {"id": str(attachment), "task_id": task["id"]}
    await take(EventEnvelope.from_json(json.dumps(example).encode()))
    expected = "shopping list.pdf" if event_type == CREATED else None
    assert [row[3] for row in await rows(DOCUMENTS, id=attachment)] == [expected]


async def test_d5_what_is_no_attachment_is_rejected(roster, take):
    with pytest.raises(Reject):
        await take(attachment_event(CREATED, uuid7(), {"id": "none"}))


def test_d5_the_worker_has_a_queue_for_them():
    """It is declared with all others by migrate, so that no event is without a consumer."""
    assert on_attachment in CONSUMERS
    assert (on_attachment.queue.name, on_attachment.queue.patterns) == ("tasks.attachments", ("attachment.*.v1",))


async def test_d5_the_name_of_a_file_that_is_deleted_says_nothing_and_so_lacks_no_word(roster, take):
    task, attachment = await roster.task(title="Teal parrot"), uuid7()
    await take(
        attachment_event(CREATED, attachment, task, name="parrot.png"),
        attachment_event(DELETED, attachment, task, version=2),
    )
    for path in ("/tasks?q=-parrot", "/tasks?q=-parrot&scope=attachments", "/tasks?q=-heron&scope=attachments"):
        assert await roster.ok("owner", "GET", path) == []
    assert (await roster.ok("owner", "GET", "/search?q=-parrot&types=task"))["tasks"] == []
    [found] = await roster.ok("owner", "GET", "/tasks?q=-heron")
    assert found["highlights"] == []
